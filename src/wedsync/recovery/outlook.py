"""How long it would take to be back if the machine went now, by what the state file knows: nobody is asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from wedsync.backup import Backup, number_at, number_of
from wedsync.database import SEGMENT_BYTES, Lsn
from wedsync.recovery.forecast import Forecast, Measurement, Phase, Restoring, forecast
from wedsync.recovery.history import read_history
from wedsync.state import StateStore

_PACKED = 0.125
"""Of a segment's bytes so many are taken to be in the archive where no replay was measured yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The forecast of a recovery on an empty machine to the newest state."""

    forecast: Forecast
    base: Backup
    wal_segments: int


def outlook(backups: Sequence[Backup], newest: Lsn | None, history: Sequence[Measurement]) -> Outlook | None:
    """The slowest of the ways that the repositories offer: nobody knows which of them is left.

    `newest` is a recent commit's place; `None`: none is known, and only the backup's own WAL is counted.
    """
    found = [_from(base, newest, history) for base in _newest_of_each(backups, newest)]
    return max(found, key=lambda item: item.forecast.total_s, default=None)


def read_outlook(state: StateStore, backups: Sequence[Backup]) -> Outlook | None:
    """The outlook now; `None`: there is no backup."""
    row = state.row("select lsn from heartbeats order by at desc limit 1")
    return outlook(backups, Lsn.parse(row["lsn"]) if row is not None else None, read_history(state))


def _newest_of_each(backups: Sequence[Backup], newest: Lsn | None) -> list[Backup]:
    """Of each repository the newest good backup; one behind the present place is of a state that was left."""
    chosen: dict[int, Backup] = {}
    for backup in sorted(backups, key=lambda item: item.finished_at):
        ahead = newest is not None and number_of(backup.wal_start) > number_at(newest)
        if backup.is_good and not ahead:
            chosen[backup.repo] = backup
    return list(chosen.values())


def _from(base: Backup, newest: Lsn | None, history: Sequence[Measurement]) -> Outlook:
    first, last = number_of(base.wal_start), number_of(base.wal_stop)
    segments = max(last, number_at(newest) if newest is not None else last) - first + 1
    measured = [run for run in history if run.phase is Phase.REPLAY and run.units > 0]
    units = sum(run.units for run in measured)
    packed_bytes = sum(run.size_bytes for run in measured) / units if units else SEGMENT_BYTES * _PACKED
    return Outlook(
        forecast=forecast(
            database_bytes=base.database_bytes,
            wal_segments=segments,
            wal_bytes=round(segments * packed_bytes),
            history=history,
            way=Restoring.WHOLE,
            repo=base.repo,
        ),
        base=base,
        wal_segments=segments,
    )
