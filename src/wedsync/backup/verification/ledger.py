"""What the state file remembers of reading: each file and when it was read, and what was found."""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import msgspec

from wedsync.backup.model import Problem, ProblemKind
from wedsync.backup.verification.files import FileKind, StoredFile
from wedsync.state import StateStore, as_moment, as_text

_ENDED_KEPT = 2000


class Ended(StrEnum):
    """How a problem ended."""

    REPAIRED = "repaired"
    WHOLE = "whole"
    """It was read again, and nothing is wrong any more."""
    GONE = "gone"
    """What it was about is not in the repository any more, or not needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """A file, and when it was read to its end."""

    repo: int
    path: str
    kind: FileKind
    size_bytes: int
    modified_at: datetime
    listed_at: datetime
    read_at: datetime | None
    whole: bool | None

    def is_same(self, file: StoredFile) -> bool:
        """Whether this is the very file that was listed, not another one of its name."""
        return (self.size_bytes, self.modified_at) == (file.size_bytes, file.modified_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem with its life: found, seen again, ended."""

    id: int
    problem: Problem
    found_at: datetime
    seen_at: datetime
    ended_at: datetime | None
    ended_by: Ended | None
    repair: str | None
    """What was done about it, or why nothing could be."""
    quarantine: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """How reading one repository goes."""

    repo: int
    listed_at: datetime | None
    read_at: datetime | None
    error: str | None
    error_since: datetime | None


class Ledger:
    """The tables `checked_files`, `verification_findings` and `verification_rounds`."""

    def __init__(self, state: StateStore) -> None:
        self._state = state

    def files(self, repo: int) -> dict[str, KnownFile]:
        """The files of a repository as they were last listed, by path."""
        rows = self._state.rows("select * from checked_files where repo = ?", (repo,))
        return {row["path"]: _known(row) for row in rows}

    def listed(self, repo: int, files: Iterable[StoredFile], *, at: datetime) -> tuple[KnownFile, ...]:
        """Take over what a repository holds now; gives what it held before and holds no more.

        A file with another size or time than before counts as never read.
        """
        known = self.files(repo)
        now = {file.path: file for file in files}
        gone = tuple(known[path] for path in known.keys() - now.keys())
        new = [file for path, file in now.items() if path not in known or not known[path].is_same(file)]
        with self._state.transaction():
            for file in gone:
                self._state.write("delete from checked_files where repo = ? and path = ?", (repo, file.path))
            for file in new:
                self._state.write(
                    "insert or replace into checked_files (repo, path, kind, size_bytes, modified_at, listed_at)"
                    " values (?, ?, ?, ?, ?, ?)",
                    (repo, file.path, file.kind, file.size_bytes, as_text(file.modified_at), as_text(at)),
                )
            self._round(repo, listed_at=as_text(at), error=None, error_since=None)
        return gone

    def read(self, file: StoredFile, *, whole: bool, at: datetime) -> None:
        """Note that a file was read to its end, and how it was."""
        with self._state.transaction():
            self._state.write(
                "update checked_files set read_at = ?, whole = ? where repo = ? and path = ? and size_bytes = ?"
                " and modified_at = ?",
                (as_text(at), int(whole), file.repo, file.path, file.size_bytes, as_text(file.modified_at)),
            )
            self._round(file.repo, read_at=as_text(at))

    def read_all(self, repo: int, files: Iterable[StoredFile], *, damaged: Collection[str], at: datetime) -> None:
        """Note that every one of these files was read; `damaged` are the paths of those that were not whole."""
        with self._state.transaction():
            for file in files:
                self._state.write(
                    "update checked_files set read_at = ?, whole = ? where repo = ? and path = ?",
                    (as_text(at), int(file.path not in damaged), repo, file.path),
                )
            self._round(repo, read_at=as_text(at))

    def failed(self, repo: int, error: str, *, at: datetime) -> None:
        """Note that a repository could not be read: nothing of it counts as read."""
        before = self.round(repo)
        since = before.error_since if before and before.error_since else at
        self._round(repo, error=error, error_since=as_text(since))

    def round(self, repo: int) -> Round | None:
        """How reading a repository goes; `None`: it was never looked at."""
        row = self._state.row("select * from verification_rounds where repo = ?", (repo,))
        if row is None:
            return None
        return Round(
            repo=repo,
            listed_at=as_moment(row["listed_at"]) if row["listed_at"] else None,
            read_at=as_moment(row["read_at"]) if row["read_at"] else None,
            error=row["error"],
            error_since=as_moment(row["error_since"]) if row["error_since"] else None,
        )

    def open(self, repo: int | None = None) -> tuple[Finding, ...]:
        """What is wrong now, oldest first."""
        rows = self._state.rows("select * from verification_findings where ended_at is null order by id")
        return tuple(_finding(row) for row in rows if repo is None or row["repo"] == repo)

    def ended_since(self, since: datetime) -> tuple[Finding, ...]:
        """What ended since then, oldest first."""
        rows = self._state.rows(
            "select * from verification_findings where ended_at >= ? order by ended_at", (as_text(since),)
        )
        return tuple(_finding(row) for row in rows)

    def found(self, problem: Problem, *, at: datetime) -> tuple[Finding, bool]:
        """Note a problem; whether it is a new one. What is known of it already is brought up to date."""
        for finding in self.open(problem.repo):
            if is_same_problem(finding.problem, problem):
                self._state.write(
                    "update verification_findings set seen_at = ?, label = ?, problem = ?, parts = ?, critical = ?"
                    " where id = ?",
                    (
                        as_text(at),
                        problem.label,
                        problem.problem,
                        _json(problem.parts),
                        int(problem.critical),
                        finding.id,
                    ),
                )
                return replace(finding, problem=problem, seen_at=at), False
        number = self._state.write(
            "insert into verification_findings (repo, kind, label, file, path, segments, parts, problem, critical,"
            " found_at, seen_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                problem.repo,
                problem.kind,
                problem.label,
                problem.file,
                problem.path,
                _json(problem.segments),
                _json(problem.parts),
                problem.problem,
                int(problem.critical),
                as_text(at),
                as_text(at),
            ),
        )
        self._state.write(
            "delete from verification_findings where ended_at is not null and id <= ?", (number - _ENDED_KEPT,)
        )
        row = self._state.row("select * from verification_findings where id = ?", (number,))
        assert row is not None  # noqa: S101 - it was written just now
        return _finding(row), True

    def end(
        self,
        finding: Finding,
        by: Ended,
        *,
        at: datetime,
        repair: str | None = None,
        quarantine: str | None = None,
    ) -> None:
        """Note that a problem is over, and how."""
        self._state.write(
            "update verification_findings set ended_at = ?, ended_by = ?, repair = coalesce(?, repair),"
            " quarantine = coalesce(?, quarantine) where id = ?",
            (as_text(at), by, repair, quarantine, finding.id),
        )

    def not_repaired(self, finding: Finding, why: str, *, quarantine: str | None = None) -> None:
        """Note why a problem could not be repaired."""
        self._state.write(
            "update verification_findings set repair = ?, quarantine = coalesce(?, quarantine) where id = ?",
            (why, quarantine, finding.id),
        )

    def _round(self, repo: int, **values: str | None) -> None:
        self._state.write("insert or ignore into verification_rounds (repo) values (?)", (repo,))
        for column, value in values.items():  # names of our own, above
            self._state.write(f"update verification_rounds set {column} = ? where repo = ?", (value, repo))  # noqa: S608


def is_same_problem(one: Problem, other: Problem) -> bool:
    """Whether both are about the same thing in the same place."""
    return (one.repo, one.kind, one.path, one.file) == (other.repo, other.kind, other.path, other.file)


def _known(row: sqlite3.Row) -> KnownFile:
    return KnownFile(
        repo=row["repo"],
        path=row["path"],
        kind=FileKind(row["kind"]),
        size_bytes=row["size_bytes"],
        modified_at=as_moment(row["modified_at"]),
        listed_at=as_moment(row["listed_at"]),
        read_at=as_moment(row["read_at"]) if row["read_at"] else None,
        whole=None if row["whole"] is None else bool(row["whole"]),
    )


def _finding(row: sqlite3.Row) -> Finding:
    return Finding(
        id=row["id"],
        problem=Problem(
            repo=row["repo"],
            label=row["label"],
            file=row["file"],
            problem=row["problem"],
            kind=ProblemKind(row["kind"]),
            path=row["path"],
            segments=tuple(msgspec.json.decode(row["segments"], type=list[str])),
            parts=tuple(msgspec.json.decode(row["parts"], type=list[str])),
            critical=bool(row["critical"]),
        ),
        found_at=as_moment(row["found_at"]),
        seen_at=as_moment(row["seen_at"]),
        ended_at=as_moment(row["ended_at"]) if row["ended_at"] else None,
        ended_by=Ended(row["ended_by"]) if row["ended_by"] else None,
        repair=row["repair"],
        quarantine=row["quarantine"],
    )


def _json(values: Sequence[str]) -> str:
    return msgspec.json.encode(values).decode()
