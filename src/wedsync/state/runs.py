"""Work that goes on in a process of its own, and how it stands: the table `operation_runs`."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from wedsync.errors import Busy, NotThere
from wedsync.state.store import StateStore, as_moment, as_text

_KEPT = 1000


class RunKind(StrEnum):
    """What is done."""

    BACKUP = "backup"
    VERIFICATION = "verification"
    RECOVERY = "recovery"
    UNDO = "undo"
    DRILL = "drill"
    PREVIEW = "preview"


class RunState(StrEnum):
    """How it stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One piece of work."""

    id: str
    kind: RunKind
    wanted: dict[str, Any]
    asked_by: str
    asked_at: datetime
    pid: int | None
    finished_at: datetime | None
    state: RunState
    progress: dict[str, Any] | None
    result: Any
    error: dict[str, Any] | None
    """`code`, `message`, `detail`, `hint`."""


class OperationRuns:
    """Every piece of work that was asked for."""

    def __init__(self, state: StateStore) -> None:
        self._state = state

    def ask(
        self, kind: RunKind, wanted: dict[str, Any], *, by: str, at: datetime, beside: Collection[RunKind]
    ) -> Run:
        """Write down that work is wanted; raises `Busy` while one of a kind in `beside` runs.

        Whoever asks has called `fail` for those whose process is gone.
        """
        with self._state.transaction():
            for other in self._running():
                if other.kind in beside:
                    raise Busy(
                        f"a {other.kind} is under way",
                        detail=f"run {other.id}, asked for at {other.asked_at:%Y-%m-%d %H:%M:%S} UTC",
                        hint="wait for its end",
                    )
            run = self._new_id(at)
            self._state.write(
                "insert into operation_runs (id, kind, wanted, asked_by, asked_at, outcome)"
                " values (?, ?, ?, ?, ?, 'running')",
                (run, kind, json.dumps(wanted), by, as_text(at)),
            )
            self._state.write(
                "delete from operation_runs where outcome <> 'running' and id not in"
                " (select id from operation_runs order by asked_at desc limit ?)",
                (_KEPT,),
            )
        return self.find(run)

    def began(self, run: str, pid: int) -> None:
        """Note which process does it."""
        self._state.write("update operation_runs set pid = ? where id = ?", (pid, run))

    def progress(self, run: str, progress: dict[str, Any]) -> None:
        """Note how far it has come."""
        self._state.write("update operation_runs set progress = ? where id = ?", (json.dumps(progress), run))

    def end(self, run: str, result: Any, *, at: datetime) -> None:
        """Note that it was done, and what came of it: plain values."""
        self._state.write(
            "update operation_runs set outcome = 'done', finished_at = ?, result = ? where id = ?",
            (as_text(at), json.dumps(result), run),
        )

    def fail(self, run: str, error: dict[str, Any], *, at: datetime) -> None:
        """Note why it was not done, unless it has ended meanwhile."""
        self._state.write(
            "update operation_runs set outcome = 'failed', finished_at = ?, error = ?"
            " where id = ? and outcome = 'running'",
            (as_text(at), json.dumps(error), run),
        )

    def find(self, run: str) -> Run:
        """How a run stands. Raises `NotThere`."""
        row = self._state.row("select * from operation_runs where id = ?", (run,))
        if row is None:
            raise NotThere(f"there is no run {run[:40]!r}")
        return _run(row)

    def newest(self, kinds: Collection[RunKind], *, limit: int) -> tuple[Run, ...]:
        """The last runs of some kinds, newest first."""
        marks = ", ".join("?" * len(kinds))
        rows = self._state.rows(
            f"select * from operation_runs where kind in ({marks}) order by asked_at desc, id desc limit ?",  # noqa: S608 - marks
            (*kinds, limit),
        )
        return tuple(_run(row) for row in rows)

    def running(self) -> tuple[Run, ...]:
        """Those that have not ended, as far as is known."""
        return tuple(self._running())

    def _running(self) -> list[Run]:
        return [_run(row) for row in self._state.rows("select * from operation_runs where outcome = 'running'")]

    def _new_id(self, at: datetime) -> str:
        """Ids sort by time; two of one millisecond differ."""
        while True:
            made = f"{as_text(at)[:23].translate(str.maketrans('T.', '__', '-:'))}"
            if self._state.row("select 1 from operation_runs where id = ?", (made,)) is None:
                return made
            at += timedelta(milliseconds=1)


def _run(row: Any) -> Run:
    return Run(
        id=row["id"],
        kind=RunKind(row["kind"]),
        wanted=json.loads(row["wanted"]),
        asked_by=row["asked_by"],
        asked_at=as_moment(row["asked_at"]),
        pid=row["pid"],
        finished_at=as_moment(row["finished_at"]) if row["finished_at"] else None,
        state=RunState(row["outcome"]),
        progress=json.loads(row["progress"]) if row["progress"] else None,
        result=json.loads(row["result"]) if row["result"] else None,
        error=json.loads(row["error"]) if row["error"] else None,
    )
