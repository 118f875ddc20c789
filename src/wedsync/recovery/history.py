"""What forecasts are learnt from: phases that ran on this machine, in the table `measurements`."""

from collections.abc import Mapping
from datetime import datetime

from wedsync.recovery.forecast import Measurement, Phase, Restoring
from wedsync.state import StateStore, as_text

_KEPT = 200


def read_history(state: StateStore) -> list[Measurement]:
    """The phases of past recoveries and the full backups of this machine, newest last."""
    backups = state.rows(
        "select database_bytes, took_s from backup_runs where outcome = 'done' and kind = 'full'"
        " and took_s > 0 and database_bytes is not null order by started_at desc limit 5"
    )
    phases = state.rows("select * from measurements order by at desc, id desc limit ?", (_KEPT,))
    return [
        Measurement(phase=Phase.BACKUP, size_bytes=row["database_bytes"], units=0, took_s=row["took_s"])
        for row in reversed(backups)
    ] + [
        Measurement(
            phase=Phase(row["job"]),
            size_bytes=row["size_bytes"],
            units=row["units"],
            took_s=row["took_s"],
            way=Restoring(row["way"]) if row["way"] in set(Restoring) else None,
            repo=row["repo"],
            pace=row["pace"],
        )
        for row in reversed(phases)
        if row["job"] in set(Phase)
    ]


def record_phases(
    state: StateStore,
    took_s: Mapping[Phase, float],
    *,
    at: datetime,
    database_bytes: int,
    wal_bytes: int,
    wal_segments: int,
    way: Restoring,
    repo: int,
    pace: str | None = None,
) -> None:
    """Remember how long the phases of one recovery, or of one copy, took."""
    sizes = {Phase.RESTORE: (database_bytes, 0), Phase.REPLAY: (wal_bytes, wal_segments)}
    state.write_many(
        "insert into measurements (at, job, size_bytes, units, took_s, way, repo, pace)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (as_text(at), phase, *sizes.get(phase, (0, 0)), seconds, way, repo, pace)
            for phase, seconds in took_s.items()
        ],
    )
