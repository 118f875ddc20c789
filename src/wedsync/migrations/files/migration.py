"""One migration, as it lies on disk."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from wedsync.migrations.files.header import NO_OPTIONS, Options
from wedsync.migrations.files.problems import Problem
from wedsync.migrations.files.statements import Statement


@dataclass(frozen=True, kw_only=True)
class MigrationFile:
    """One change of the schema, and the way back."""

    number: int
    name: str
    text: str
    """Normalised: no byte order mark, lines end in LF, one newline at the end."""
    raw_checksum: str
    options: Options = NO_OPTIONS
    rollback: str | None = None
    """The normalised text that undoes it; `None` where that file is missing or unreadable."""
    rollback_options: Options = NO_OPTIONS

    @property
    def id(self) -> str:
        return migration_id(self.number, self.name)

    @property
    def file_name(self) -> str:
        return f"{self.id}.sql"

    @property
    def rollback_file_name(self) -> str:
        return f"{self.id}.rollback.sql"

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the normalised text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """Parsed when first asked for; raises `SqlUnreadable` where `content_problems` tells of it."""
        return _parse(self.text)

    @cached_property
    def rollback_statements(self) -> tuple[Statement, ...]:
        """Those of the rollback, likewise; none where there is no rollback."""
        return () if self.rollback is None else _parse(self.rollback)


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


def _parse(text: str) -> tuple[Statement, ...]:
    from wedsync.migrations.files.parsing import parse_statements  # noqa: PLC0415 - the parser takes 80 ms to import

    return parse_statements(text)
