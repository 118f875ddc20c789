"""What was measured, in the state file: it is to be known while the database is down, and what came before."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from wedsync.state import StateStore, as_text
from wedsync.zero_loss.exposure import Protection

_KEPT = timedelta(days=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What would have been lost at one moment, and the slot that holds WAL back for the receiver."""

    at: datetime
    protection: Protection
    at_stake_s: float
    at_stake_bytes: int
    slot_status: str | None = None
    slot_bytes: int | None = None


def record(state: StateStore, measured: Measured) -> None:
    """Write a measurement down; old ones go."""
    state.write(
        "insert or replace into exposure (at, mode, at_stake_s, at_stake_bytes, slot_status, slot_bytes)"
        " values (?, ?, ?, ?, ?, ?)",
        (
            as_text(measured.at),
            measured.protection.value,
            round(measured.at_stake_s, 3),
            measured.at_stake_bytes,
            measured.slot_status,
            measured.slot_bytes,
        ),
    )
    state.write("delete from exposure where at < ?", (as_text(measured.at - _KEPT),))
