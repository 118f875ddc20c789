"""The migration files: their names, order and checksums, and what is wrong with them before anything runs."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from wedsync.migrations.statements import Statement, split_statements, what_cannot_run

SHIPPED = Path(__file__).parent / "versions"
"""The platform's own schema."""

_FORWARD = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z][a-z0-9_]*)\.sql")
_ROLLBACK_SUFFIX = ".rollback.sql"


class ProblemKind(StrEnum):
    """Why migrations do not run."""

    BAD_NAME = "bad_name"
    DUPLICATE_NUMBER = "duplicate_number"
    ROLLBACK_MISSING = "rollback_missing"
    ROLLBACK_ALONE = "rollback_alone"
    UNREADABLE = "unreadable"
    EMPTY = "empty"
    CANNOT_RUN = "cannot_run"
    EDITED = "edited"
    MISSING = "missing"
    LATE = "late"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that must be put right before anything runs."""

    kind: ProblemKind
    id: str
    """The migration, or the name of a file that is none."""
    message: str
    hint: str

    def to_json(self) -> dict[str, object]:
        return {"kind": self.kind.value, "id": self.id, "message": self.message, "hint": self.hint}


@dataclass(frozen=True, kw_only=True)
class MigrationFile:
    """One change of the schema, as it lies on disk."""

    number: int
    name: str
    text: str
    """Normalised: no byte order mark, lines end in LF, one newline at the end."""
    raw_checksum: str

    @property
    def id(self) -> str:
        return migration_id(self.number, self.name)

    @property
    def file_name(self) -> str:
        return f"{self.id}.sql"

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the normalised text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        return split_statements(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationFiles:
    """The files in the order they run, and what is wrong with them."""

    files: tuple[MigrationFile, ...]
    problems: tuple[Problem, ...]


def migration_id(number: int, name: str) -> str:
    """How a migration is called everywhere: `0003_guests`."""
    return f"{number:04d}_{name}"


def normalise(raw: bytes) -> str:
    """The text that is hashed and run; raises `UnicodeDecodeError`.

    What an editor or a checkout may change without anybody noticing does not count: byte order mark,
    CRLF, newlines at the end.
    """
    return raw.decode("utf-8-sig").replace("\r\n", "\n").rstrip("\n") + "\n"


def read_files(directory: Path = SHIPPED) -> MigrationFiles:
    """Read a directory of migrations; needs no database."""
    return order_files({path.name: path.read_bytes() for path in directory.glob("*.sql")})


def order_files(contents: Mapping[str, bytes]) -> MigrationFiles:
    """The migrations among files, given by name, and every problem that shows without a database."""
    problems: list[Problem] = []
    files: list[MigrationFile] = []
    for file_name in sorted(contents):
        if file_name.endswith(_ROLLBACK_SUFFIX):
            forward = file_name.removesuffix(_ROLLBACK_SUFFIX) + ".sql"
            if forward not in contents:
                problems.append(_rollback_alone(file_name, forward))
            continue
        match = _FORWARD.fullmatch(file_name)
        if match is None:
            problems.append(_bad_name(file_name))
            continue
        try:
            text = normalise(contents[file_name])
        except UnicodeDecodeError as error:
            problems.append(_not_utf8(file_name, contents[file_name], error))
            continue
        files.append(
            MigrationFile(
                number=int(match["number"]),
                name=match["name"],
                text=text,
                raw_checksum=hashlib.sha256(contents[file_name]).hexdigest(),
            )
        )
        if f"{files[-1].id}{_ROLLBACK_SUFFIX}" not in contents:
            problems.append(_rollback_missing(files[-1]))
    problems += _duplicates(files)
    for file in files:
        problems += _problems_inside(file)
    return MigrationFiles(files=tuple(sorted(files, key=lambda file: file.number)), problems=tuple(problems))


def _problems_inside(file: MigrationFile) -> list[Problem]:
    if "\x00" in file.text:
        return [
            Problem(
                kind=ProblemKind.UNREADABLE,
                id=file.id,
                message=f"{file.file_name} holds a zero byte",
                hint="save it as plain UTF-8 text",
            )
        ]
    if not file.statements:
        return [
            Problem(
                kind=ProblemKind.EMPTY,
                id=file.id,
                message=f"{file.file_name} holds no statement",
                hint="write its SQL, or remove the file",
            )
        ]
    return [
        Problem(
            kind=ProblemKind.CANNOT_RUN,
            id=file.id,
            message=f"{file.file_name}:{statement.line}: {reason}",
            hint=f"take it out: {first_line(statement)}",
        )
        for statement in file.statements
        if (reason := what_cannot_run(statement)) is not None
    ]


def first_line(statement: Statement) -> str:
    """A statement's first line, cut to what fits a terminal."""
    line = statement.text.partition("\n")[0].rstrip()
    return line if len(line) <= 100 else line[:99] + "…"


def _duplicates(files: Sequence[MigrationFile]) -> list[Problem]:
    by_number: dict[int, list[MigrationFile]] = defaultdict(list)
    for file in files:
        by_number[file.number].append(file)
    return [
        Problem(
            kind=ProblemKind.DUPLICATE_NUMBER,
            id=same[0].id,
            message=f"{len(same)} files have the number {number:04d}: {', '.join(f.file_name for f in same)}",
            hint="give the newer one the next free number: wedsync migrate new NAME",
        )
        for number, same in by_number.items()
        if len(same) > 1
    ]


def _bad_name(file_name: str) -> Problem:
    return Problem(
        kind=ProblemKind.BAD_NAME,
        id=file_name,
        message=f"{file_name} is not named like a migration",
        hint="four digits, an underscore, lower-case words: 0007_seats.sql beside 0007_seats.rollback.sql",
    )


def _rollback_alone(file_name: str, forward: str) -> Problem:
    return Problem(
        kind=ProblemKind.ROLLBACK_ALONE,
        id=file_name,
        message=f"{file_name} undoes {forward}, which is not there",
        hint=f"put {forward} back, or remove the rollback",
    )


def _rollback_missing(file: MigrationFile) -> Problem:
    return Problem(
        kind=ProblemKind.ROLLBACK_MISSING,
        id=file.id,
        message=f"{file.file_name} has no {file.id}{_ROLLBACK_SUFFIX}",
        hint="write how it is undone, before it runs anywhere",
    )


def _not_utf8(file_name: str, raw: bytes, error: UnicodeDecodeError) -> Problem:
    line = raw.count(b"\n", 0, error.start) + 1
    return Problem(
        kind=ProblemKind.UNREADABLE,
        id=file_name.removesuffix(".sql"),
        message=f"{file_name}:{line}: not UTF-8 (byte 0x{raw[error.start]:02x})",
        hint="save it as UTF-8",
    )
