"""Requests that never reached the database, or whose end nobody knows: PGRST000 to PGRST003, and our own."""

from wedsync.api.rest.errors.problem import Problem
from wedsync.errors import (
    BeingTakenBack,
    CannotConnect,
    CatalogueNotLoaded,
    CommitUnknown,
    Overloaded,
    PipelineBroken,
    PoolClosed,
    PoolTimeout,
    ResultTooLarge,
    WedsyncError,
)

RETRY_AFTER_S = 2
_SOON = {"Retry-After": "1"}
_POSTGREST = (
    (PoolTimeout, 504, "PGRST003", "Timed out acquiring connection from connection pool."),
    (CatalogueNotLoaded, 503, "PGRST002", "Could not query the database for the schema cache. Retrying."),
    (PipelineBroken, 503, "PGRST001", "Database client error. Retrying the connection."),
    (CannotConnect, 503, "PGRST000", "Database connection error."),
    (PoolClosed, 503, "PGRST000", "Database connection error."),
)


def unserved(error: WedsyncError) -> Problem:
    """The answer where the gateway or its connections failed, not a statement.

    `Retry-After` is only said where surely nothing was done. Hosts and ports, in `detail`, are for the log.
    """
    if isinstance(error, BeingTakenBack):  # what can be said is what the client has to know
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        return Problem(status=503, code=error.code, message=error.message, hint=error.hint, headers=headers)
    for kind, status, code, message in _POSTGREST:
        if isinstance(error, kind):
            return Problem(status=status, code=code, message=message, headers=_SOON)
    match error:
        case Overloaded():
            return Problem(
                status=503,
                code="PGRST003",
                message=error.message,
                details="nothing of this request was run",
                hint=error.hint,
                headers={"Retry-After": str(error.retry_after_s)},
            )
        case CommitUnknown():
            return Problem(
                status=504,
                code=error.code,
                message="The connection to the database was lost before it answered: the change may have been "
                "made, or not",
                hint="look before doing it again; with an Idempotency-Key it can be repeated without harm",
            )
        case ResultTooLarge():
            hint = error.hint or "ask for fewer rows: limit, Range"
            return Problem(status=400, code=error.code, message=error.message, hint=hint)
        case _:
            return Problem(status=500, code=error.code, message=error.message, hint=error.hint)
