"""Answers in JSON, and which status an error of ours has over HTTP."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from wedsync.api.operations.operation import Problem
from wedsync.errors import (
    BackupKept,
    BackupUnknown,
    Busy,
    CannotConnect,
    CopyFailed,
    CopyPassed,
    CopyRefused,
    CopyUnknown,
    DataLossRefused,
    ErasedForGood,
    FiguresMissing,
    KeyReused,
    LiveDatabaseAway,
    MigrationBlocked,
    MigrationsFrozen,
    NotAdministrator,
    NotConfirmed,
    NothingToUndo,
    NotSignedIn,
    NotThere,
    OutcomeUnknown,
    PreviewAway,
    PreviewReadOnly,
    RecoveryRefused,
    RowConflicts,
    RowRecoveryUnknown,
    RowsChangedSince,
    RowsInterrupted,
    RowsLocked,
    RowsNotExact,
    RowsOutcomeUnknown,
    RowsRefused,
    TargetUnreachable,
    TenantUnknown,
    TooLarge,
    TooManyCalls,
    WedsyncError,
)
from wedsync.words import without_paths

_STATUS: tuple[tuple[type[WedsyncError], int], ...] = (
    (NotSignedIn, 401),
    (NotAdministrator, 403),
    (NotThere, 404),
    (CopyUnknown, 404),
    (PreviewReadOnly, 405),
    (BackupUnknown, 404),
    (TooLarge, 413),
    (KeyReused, 422),
    (NotConfirmed, 422),
    (TooManyCalls, 429),
    (MigrationsFrozen, 423),
    (DataLossRefused, 409),
    (MigrationBlocked, 409),
    (BackupKept, 409),
    (OutcomeUnknown, 409),
    (TargetUnreachable, 409),
    (RecoveryRefused, 409),
    (NothingToUndo, 409),
    (CopyRefused, 409),
    (CopyPassed, 409),
    (Busy, 409),
    (FiguresMissing, 503),
    (CannotConnect, 503),
    (PreviewAway, 503),
    (LiveDatabaseAway, 503),
    (CopyFailed, 503),
    (RowRecoveryUnknown, 404),
    (TenantUnknown, 404),
    (ErasedForGood, 409),
    (RowConflicts, 409),
    (RowsChangedSince, 409),
    (RowsLocked, 409),
    (RowsNotExact, 409),
    (RowsRefused, 409),
    (RowsInterrupted, 503),
    (RowsOutcomeUnknown, 504),
)
"""The first that fits; 400 for the rest: something about the request, the files or the database is wrong."""
_WORTH_COMING_AGAIN = (MigrationBlocked, Busy, CannotConnect, PreviewAway, RowsLocked)
_RETRY_AFTER_S = 5


def status_of(error: WedsyncError) -> int:
    """The HTTP status of an error of ours."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 400)


def problem_of(error: WedsyncError) -> Problem:
    """An error as every answer shows it: without the paths of this machine."""
    return Problem(
        code=error.code,
        message=without_paths(error.message),
        detail=without_paths(error.detail) if error.detail is not None else None,
        hint=without_paths(error.hint) if error.hint is not None else None,
    )


def headers_of(error: WedsyncError) -> dict[str, str]:
    """What a client needs besides: how to sign in, when to come again."""
    match error:
        case NotSignedIn():
            return {"WWW-Authenticate": 'Bearer realm="wedsync"'}
        case PreviewReadOnly():
            return {"Allow": "GET, HEAD"}
        case TooManyCalls():
            return {"Retry-After": str(error.retry_after_s)}
        case _ if isinstance(error, _WORTH_COMING_AGAIN):
            return {"Retry-After": str(_RETRY_AFTER_S)}
        case _:
            return {}


def json_answer(content: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(content, status_code=status, headers=dict(headers or {}), media_type="application/json")


def encode(content: object) -> bytes:
    """JSON; moments in ISO 8601, UTC."""
    return msgspec.json.encode(content)
