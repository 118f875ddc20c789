"""The demo season: a believable year of weddings, and a busy Saturday that writes to it.

The names are imported when they are asked for: the process that makes rows starts in 0.1 s instead of 0.4 s
without the database driver.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wedsync.demo.ledger import LedgerLine, Outcome, read_ledger
    from wedsync.demo.loader import DEFAULT_SEED, Loaded, load
    from wedsync.demo.saturday import LiveTick, live

__all__ = ["DEFAULT_SEED", "LedgerLine", "LiveTick", "Loaded", "Outcome", "live", "load", "read_ledger"]

_HOMES = {
    "DEFAULT_SEED": "loader",
    "Loaded": "loader",
    "load": "loader",
    "LedgerLine": "ledger",
    "Outcome": "ledger",
    "read_ledger": "ledger",
    "LiveTick": "saturday",
    "live": "saturday",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"wedsync.demo.{_HOMES[name]}"), name)
