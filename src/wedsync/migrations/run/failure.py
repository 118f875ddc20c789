"""What PostgreSQL said of a file, in our words: where, which statement, what to do."""

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from wedsync.errors import MigrationFailed
from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.files.statements import Statement, statement_at

LOCK_CONFLICTS = frozenset({"55P03", "40P01"})
"""lock_not_available, deadlock_detected: another try may do better."""
_STATEMENT_SHOWN = 600
_UNDEFINED_OBJECT = "42704"


def first_error(results: list[PGresult]) -> tuple[psycopg.Error, int] | None:
    """The error among results, and how many statements ended well before it."""
    for finished, result in enumerate(results):
        if result.status == ExecStatus.FATAL_ERROR:
            return psycopg.errors.error_from_result(result), finished
    return None


def explained(
    file: MigrationFile, error: psycopg.Error, *, finished: int, before: int = 0, kept: str | None = None
) -> MigrationFailed:
    """The failure of a file that was sent whole, `before` characters of ours in front of it."""
    at = error.diag.statement_position
    position = int(at) - before if at else None
    statement, line = statement_at(file.statements, position=position, finished=finished)
    return failed(file, error, statement=statement, line=line, kept=kept)


def failed(
    file: MigrationFile,
    error: psycopg.Error,
    *,
    statement: Statement | None,
    line: int | None,
    kept: str | None = None,
) -> MigrationFailed:
    """The failure of one statement; `kept` says what there is of the file now."""
    diag = error.diag
    place = file.file_name if line is None else f"{file.file_name}:{line}"
    seen = [
        *([_shown(statement.text)] if statement is not None else []),
        *([f"detail: {diag.message_detail}"] if diag.message_detail else []),
        *([f"in: {diag.context}"] if diag.context else []),
    ]
    said = diag.message_primary or " ".join(str(error).split())
    return MigrationFailed(
        f"{place}: {said} ({diag.sqlstate})",
        detail="\n        ".join(seen) or None,
        hint=_hint(diag.sqlstate, diag.message_hint, kept),
    )


def connection_lost(
    file: MigrationFile,
    error: psycopg.OperationalError,
    *,
    kept: str = "PostgreSQL undoes an unfinished transaction",
) -> MigrationFailed:
    """The server, or the way to it, was gone while a file ran."""
    return MigrationFailed(
        f"{file.file_name}: the connection was lost while it ran",
        detail=" ".join(str(error).split()),
        hint=f"{kept}: run wedsync migrate up again",
    )


def sqlstate_of(error: MigrationFailed) -> str | None:
    """What PostgreSQL called the error behind a failure."""
    return error.__cause__.sqlstate if isinstance(error.__cause__, psycopg.Error) else None


def _shown(statement: str) -> str:
    cut = statement if len(statement) <= _STATEMENT_SHOWN else statement[:_STATEMENT_SHOWN] + " …"
    return cut.replace("\n", "\n        ")


def _hint(sqlstate: str | None, from_server: str | None, kept: str | None) -> str:
    ending = kept or "nothing of this file was kept; files before it stay applied"
    if sqlstate == _UNDEFINED_OBJECT:  # a role, on a cluster that is not ours
        return f"wedsync doctor gives the statements that make missing roles; {ending}"
    return f"{from_server}; {ending}" if from_server else ending
