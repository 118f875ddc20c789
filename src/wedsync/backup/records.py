"""What the state file remembers: runs, and a copy of the catalogue for the time between two looks at it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from wedsync.backup.known_damage import known_as_broken
from wedsync.backup.model import (
    Backup,
    BackupKind,
    BackupRun,
    Catalogue,
    Problem,
    RunOutcome,
    RunReason,
    Verification,
)
from wedsync.state import StateStore, as_moment, as_text

_RUNS_KEPT = 5000
_MEASUREMENTS_KEPT = 500
_VERIFICATIONS_KEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRecord:
    """One reading of repositories, and what it showed."""

    at: datetime
    repos: tuple[int, ...]
    found: Verification
    took_s: float


class BackupRecords:
    """Runs and catalogue in the state file. The repositories stay the truth about what there is."""

    def __init__(self, state: StateStore) -> None:
        self._state = state

    def begin(self, *, repo: int, kind: BackupKind, reason: RunReason, at: datetime) -> int:
        """Write down that a run starts; gives its id."""
        return self._state.write(
            "insert into backup_runs (repo, kind, reason, started_at, outcome, pid)"
            " values (?, ?, ?, ?, 'running', ?)",
            (repo, kind, reason, as_text(at), os.getpid()),
        )

    def end(self, run: int, *, at: datetime, backup: Backup, took_s: float) -> None:
        """Write down that a run made this backup, and how fast (forecasts learn from it)."""
        with self._state.transaction():
            self._state.write(
                "update backup_runs set finished_at = ?, outcome = 'done', label = ?, took_s = ?,"
                " database_bytes = ?, repo_bytes = ? where id = ?",
                (as_text(at), backup.label, took_s, backup.database_bytes, backup.repo_bytes, run),
            )
            if backup.kind is BackupKind.FULL:
                self._state.write(
                    "insert into measurements (at, job, size_bytes, units, took_s) values (?, 'backup', ?, 0, ?)",
                    (as_text(at), backup.database_bytes, took_s),
                )
            self._state.write("delete from backup_runs where id <= ?", (run - _RUNS_KEPT,))
            self._state.write(
                "delete from measurements where job = 'backup' and id not in (select id from measurements"
                " where job = 'backup' order by id desc limit ?)",
                (_MEASUREMENTS_KEPT,),
            )

    def fail(self, run: int, *, at: datetime, error: str) -> None:
        """Write down why a run made no backup."""
        self._state.write(
            "update backup_runs set finished_at = ?, outcome = 'failed', error = ? where id = ?",
            (as_text(at), error, run),
        )

    def fail_abandoned(self, *, at: datetime) -> int:
        """Mark runs as failed whose process is gone. Only for the holder of the backup lock: then no run
        can be under way. Gives how many there were."""
        rows = self._state.rows("select id, pid from backup_runs where outcome = 'running'")
        for row in rows:
            self.fail(row["id"], at=at, error=f"process {row['pid']} ended in the middle of the run")
        return len(rows)

    def runs(self, *, limit: int = 200) -> tuple[BackupRun, ...]:
        """The last runs, newest first."""
        rows = self._state.rows("select * from backup_runs order by id desc limit ?", (limit,))
        return tuple(
            BackupRun(
                id=row["id"],
                repo=row["repo"],
                kind=BackupKind(row["kind"]),
                reason=RunReason(row["reason"]),
                started_at=as_moment(row["started_at"]),
                finished_at=as_moment(row["finished_at"]) if row["finished_at"] else None,
                outcome=RunOutcome(row["outcome"]),
                label=row["label"],
                took_s=row["took_s"],
                error=row["error"],
            )
            for row in rows
        )

    def save(self, catalogue: Catalogue) -> None:
        """Keep a copy of what the readable repositories hold; what the others held last stays."""
        readable = [status.repo for status in catalogue.repositories if status.ok]
        with self._state.transaction():
            for repo in readable:
                self._state.write("delete from catalogue where repo = ?", (repo,))
            for backup in catalogue.backups:
                self._state.write(
                    "insert or replace into catalogue (repo, label, record) values (?, ?, ?)",
                    (backup.repo, backup.label, msgspec.json.encode(backup).decode()),
                )

    def verified(self, found: Verification, *, repos: Sequence[int], at: datetime, took_s: float) -> None:
        """Write down what reading these repositories whole has shown."""
        with self._state.transaction():
            last = self._state.write(
                "insert into backup_verifications (at, repos, checked, took_s, problems) values (?, ?, ?, ?, ?)",
                (
                    as_text(at),
                    msgspec.json.encode(list(repos)).decode(),
                    found.checked,
                    took_s,
                    msgspec.json.encode(found.problems).decode(),
                ),
            )
            self._state.write("delete from backup_verifications where id <= ?", (last - _VERIFICATIONS_KEPT,))

    def verifications(self, *, limit: int = 100) -> tuple[VerificationRecord, ...]:
        """The last times that repositories were read whole, newest first."""
        rows = self._state.rows("select * from backup_verifications order by id desc limit ?", (limit,))
        return tuple(
            VerificationRecord(
                at=as_moment(row["at"]),
                repos=tuple(msgspec.json.decode(row["repos"], type=list[int])),
                found=Verification(
                    checked=row["checked"],
                    problems=msgspec.json.decode(row["problems"], type=tuple[Problem, ...]),
                ),
                took_s=row["took_s"],
            )
            for row in rows
        )

    def backups(self) -> tuple[Backup, ...]:
        """The catalogue as it was last seen, oldest first. For showing and scheduling, not for recovery."""
        rows = self._state.rows("select record from catalogue order by label, repo")
        return known_as_broken((msgspec.json.decode(row["record"], type=Backup) for row in rows), self._state)
