"""Open the state file; its schema has versions of its own and only grows."""

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from wedsync.errors import StateProblem

_VERSIONS = (
    "schema.sql",
    "erasures.sql",
    "verifications.sql",
    "requests.sql",
    "copies.sql",
    "drills.sql",
    "witnesses.sql",
    "checked_files.sql",
    "exposure.sql",
    "regions.sql",
    "measured.sql",
    "paces.sql",
)
"""Scripts in order; the file's `user_version` says how many have run."""

SqliteValue = str | int | float | bytes | None


class StateStore:
    """One connection to the state file. Every write is its own transaction unless inside `transaction()`.

    A file that was deleted or replaced is opened anew: all processes of a home write to the one that is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = _open(path)
        self._identity = _identity(path)

    @property
    def _connection(self) -> sqlite3.Connection:
        if not self._opened.in_transaction and _identity(self._path) != self._identity:
            gone, self._opened = self._opened, _open(self._path)
            gone.close()
            self._identity = _identity(self._path)
        return self._opened

    def rows(self, statement: str, values: Sequence[SqliteValue] = ()) -> list[sqlite3.Row]:
        """All rows of a question."""
        return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, values: Sequence[SqliteValue] = ()) -> sqlite3.Row | None:
        """The first row of a question, if there is one."""
        return self._connection.execute(statement, values).fetchone()

    def write(self, statement: str, values: Sequence[SqliteValue] = ()) -> int:
        """Run one change; gives the new row's id (for an insert)."""
        return self._connection.execute(statement, values).lastrowid or 0

    def write_many(self, statement: str, values: Sequence[Sequence[SqliteValue]]) -> None:
        """Run one change for each group of values, in one transaction."""
        with self.transaction():
            self._connection.executemany(statement, values)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All writes inside happen or none does."""
        self._connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")

    def close(self) -> None:
        self._opened.close()


def open_state(path: Path) -> StateStore:
    """Open (or make) the state file, in WAL mode, durable at each commit.

    Any number of processes may have it open; a writer waits up to five seconds for another one.
    Raises `StateProblem` if the file is damaged or was written by a newer version.
    """
    return StateStore(path)


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file is at `path` now."""
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return about.st_dev, about.st_ino


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma foreign_keys = on")
        path.chmod(0o600)
        _upgrade(connection)
    except sqlite3.DatabaseError as error:
        raise StateProblem(
            f"cannot open {path.name}",
            detail=str(error),
            hint="wedsync down, move it away, bin/up: backups and windows are rebuilt from the repositories",
        ) from error
    return connection


def _upgrade(connection: sqlite3.Connection) -> None:
    with closing(connection.execute("pragma user_version")) as cursor:
        version = int(cursor.fetchone()[0])
    if version > len(_VERSIONS):
        raise StateProblem(
            f"state.db has version {version}; this program knows {len(_VERSIONS)}",
            hint="run the newer version of wedsync that wrote it",
        )
    if version == len(_VERSIONS):
        return
    connection.execute("begin immediate")
    try:
        with closing(connection.execute("pragma user_version")) as cursor:
            version = int(cursor.fetchone()[0])
        for number, script in enumerate(_VERSIONS[version:], start=version + 1):
            for statement in _split((files("wedsync.state") / script).read_text(encoding="utf-8")):
                connection.execute(statement)
            connection.execute(f"pragma user_version = {number:d}")
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise


def _split(script: str) -> Iterator[str]:
    """The script's statements, one after the other (`executescript` would commit by itself)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def as_text(moment: datetime) -> str:
    """A moment as the state file keeps it: ISO 8601 in UTC, sortable as text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def as_moment(text: str) -> datetime:
    """The moment that `as_text` wrote."""
    return datetime.fromisoformat(text)
