"""What the state file remembers of drills."""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from wedsync.drills.drill import Drill, Outcome
from wedsync.state import StateStore, as_text

_KEPT = 5000


class DrillRecords:
    """Every drill of a home, in the state file."""

    def __init__(self, state: StateStore) -> None:
        self._state = state

    def new_id(self, at: datetime) -> str:
        """An id that sorts by time and is not taken."""
        while True:
            made = as_text(at)[:23].translate(str.maketrans("T.", "__", "-:"))
            if self._state.row("select 1 from drills where id = ?", (made,)) is None:
                return made
            at += timedelta(milliseconds=1)

    def save(self, drill: Drill, *, evidence_sha256: str | None = None) -> None:
        """Write down how a drill stands."""
        source = drill.source
        self._state.write(
            "insert into drills (id, began_at, finished_at, outcome, reason, repo, label, rto_s, rpo_s, pid,"
            " record, evidence_sha256) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " on conflict (id) do update set finished_at = excluded.finished_at, outcome = excluded.outcome,"
            " repo = excluded.repo, label = excluded.label, rto_s = excluded.rto_s, rpo_s = excluded.rpo_s,"
            " record = excluded.record, evidence_sha256 = excluded.evidence_sha256",
            (
                drill.id,
                as_text(drill.began_at),
                as_text(drill.finished_at) if drill.finished_at else None,
                drill.outcome,
                drill.reason,
                source.repo if source else None,
                source.label if source else None,
                drill.rto_s,
                drill.rpo_s,
                os.getpid(),
                msgspec.json.encode(drill).decode(),
                evidence_sha256,
            ),
        )
        self._state.write(
            "delete from drills where id not in (select id from drills order by id desc limit ?)", (_KEPT,)
        )

    def find(self, drill: str) -> Drill | None:
        """One drill."""
        row = self._state.row("select record from drills where id = ?", (drill,))
        return _drill(row["record"]) if row else None

    def evidence_sha256(self, drill: str) -> str | None:
        """What its evidence must hash to; `None`: there is none, or no more."""
        row = self._state.row("select evidence_sha256 from drills where id = ?", (drill,))
        return row["evidence_sha256"] if row else None

    def newest(self, *, limit: int = 100) -> tuple[Drill, ...]:
        """The last ones, newest first."""
        rows = self._state.rows("select record from drills order by id desc limit ?", (limit,))
        return tuple(_drill(row["record"]) for row in rows)

    def of_backups(self) -> tuple[Drill, ...]:
        """Of each backup the newest drill that says something about it, newest first."""
        rows = self._state.rows(
            "select record from drills where id in (select max(id) from drills where label is not null"
            " and outcome in ('passed', 'failed') group by repo, label) order by id desc"
        )
        return tuple(_drill(row["record"]) for row in rows)

    def running(self) -> tuple[tuple[Drill, int], ...]:
        """Those that have not ended as far as is known, each with the process that began it."""
        rows = self._state.rows("select record, pid from drills where outcome = 'running' order by id")
        return tuple((_drill(row["record"]), row["pid"]) for row in rows)

    def older_evidence(self, than: datetime) -> Sequence[str]:
        """Ids of drills that ended before `than` and whose evidence is still there."""
        rows = self._state.rows(
            "select id from drills where evidence_sha256 is not null and finished_at < ?", (as_text(than),)
        )
        return [row["id"] for row in rows]

    def forget_evidence(self, drill: str) -> None:
        """Note that the evidence of a drill was removed."""
        self._state.write("update drills set evidence_sha256 = null where id = ?", (drill,))

    def last_ended(self) -> Drill | None:
        """The newest drill that is not running."""
        row = self._state.row(
            "select record from drills where outcome <> ? order by id desc limit 1", (Outcome.RUNNING,)
        )
        return _drill(row["record"]) if row else None


def _drill(record: str) -> Drill:
    return msgspec.json.decode(record, type=Drill)
