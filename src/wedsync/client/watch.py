"""What a service is told of its own use of the database: slow statements, connections that are not given back."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from wedsync.events import Event, observe

_LONGEST_TEXT = 300
_NOTES = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_QUOTED = re.compile(r"'|\$[A-Za-z_]*\$")
_NUMBER = re.compile(r"(?<![\w$\".])\d+(\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowStatement(Event):
    """A statement took longer than `slow_after`. Its text is cut and has no values."""

    level: ClassVar[str] = "warning"
    text: str
    parameters: int
    took_ms: float
    succeeded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionHeld(Event):
    """A connection was not given back for longer than `leak_after`."""

    level: ClassVar[str] = "warning"
    place: str
    """File, line and function that took it."""
    held_s: float


OnSlow = Callable[[SlowStatement], None]
OnHeld = Callable[[ConnectionHeld], None]
tell: Callable[[Event], None] = observe


def shown_text(statement: str) -> str:
    """A statement on one line, cut, without what may be a value: it ends where the first quoted one begins."""
    plain = _NOTES.sub(" ", statement[: 20 * _LONGEST_TEXT])
    quoted = _QUOTED.search(plain)
    if quoted is not None:
        plain = plain[: quoted.start()] + "…"
    shown = " ".join(_NUMBER.sub("?", plain).split())
    return shown if len(shown) <= _LONGEST_TEXT else shown[: _LONGEST_TEXT - 1] + "…"


def calling_place() -> str:
    """Who called into this package: the nearest frame outside it and outside contextlib."""
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage] - inspect.stack() reads files
    while frame.f_back is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith("wedsync.client") and module not in {"contextlib", "asyncio.tasks"}:
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
