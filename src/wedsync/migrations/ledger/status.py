"""What is applied, what is pending, and whether files and ledger agree: plain decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wedsync.migrations.files.migration import MigrationFile, MigrationFiles, migration_id
from wedsync.migrations.files.order import Late, late, run_order
from wedsync.migrations.files.problems import Problem, ProblemKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """One row of the ledger."""

    number: int
    name: str
    checksum: str
    applied_at: datetime
    took_ms: int
    by: str

    @property
    def id(self) -> str:
        return migration_id(self.number, self.name)

    def to_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "name": self.name,
            "checksum": self.checksum,
            "applied_at": self.applied_at.isoformat(),
            "took_ms": self.took_ms,
            "by": self.by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Files and ledger compared."""

    applied: tuple[Applied, ...]
    pending: tuple[MigrationFile, ...]
    problems: tuple[Problem, ...]

    @property
    def is_current(self) -> bool:
        """Whether the schema is what the files say."""
        return not self.pending and not self.problems

    def to_json(self) -> dict[str, object]:
        return {
            "applied": [row.to_json() for row in self.applied],
            "pending": [{"id": file.id, "name": file.name, "checksum": file.checksum} for file in self.pending],
            "problems": [problem.to_json() for problem in self.problems],
        }


def compare(found: MigrationFiles, ledger: Sequence[Applied], *, allow_out_of_order: bool = False) -> Status:
    """What the ledger says of the files; `ledger` in order of number.

    A file that comes late is a problem, or with `allow_out_of_order` the first to run.
    """
    by_number = {file.number: file for file in found.files}
    problems = list(found.problems)
    for row in ledger:
        file = by_number.get(row.number)
        if file is None:
            problems.append(_missing(row))
        elif file.checksum != row.checksum or file.name != row.name:
            problems.append(_edited(row, file))
    applied_numbers = {row.number for row in ledger}
    pending = run_order(found.files, applied_numbers)
    for file in late(found.files, applied_numbers):
        if file.needed_by is not None:
            problems.append(_needed(file.file, file.needed_by))
        elif not allow_out_of_order:
            problems.append(_late(file))
    return Status(applied=tuple(ledger), pending=pending, problems=tuple(problems))


def _edited(row: Applied, file: MigrationFile) -> Problem:
    renamed = "" if row.name == file.name else f" and is now called {file.file_name}"
    return Problem(
        kind=ProblemKind.EDITED,
        id=row.id,
        message=(
            f"{row.id}.sql was edited after {row.by} applied it at {row.applied_at.isoformat()}{renamed}: "
            f"applied {row.checksum}, file {file.checksum}"
        ),
        hint=f"see the difference: wedsync migrate repair {row.id}; put the text that ran back (--restore), "
        "and write the change as a new file",
    )


def _missing(row: Applied) -> Problem:
    return Problem(
        kind=ProblemKind.MISSING,
        id=row.id,
        message=(
            f"{row.id}.sql is not there; {row.by} applied it at {row.applied_at.isoformat()}: "
            f"applied {row.checksum}, file none"
        ),
        hint="is this checkout older than the database? Else write the text that ran back: "
        f"wedsync migrate repair {row.id} --restore --yes",
    )


def _late(late: Late) -> Problem:
    newest = late.after.number
    return Problem(
        kind=ProblemKind.LATE,
        id=late.file.id,
        message=f"{late.file.file_name} is not applied, but {late.after.id} already is",
        hint=f"rename it to a number after {newest:04d}, or run it late: wedsync migrate up --allow-out-of-order",
    )


def _needed(file: MigrationFile, by: MigrationFile) -> Problem:
    return Problem(
        kind=ProblemKind.LATE,
        id=file.id,
        message=f"{file.file_name} is not applied, but {by.id}, which depends on it, already is",
        hint="the ledger and the files are of different histories: compare them with another checkout",
    )
