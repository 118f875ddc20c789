"""Refusals of an Idempotency-Key."""

from wedsync.api.rest.errors.problem import Problem, RestError


def key_not_kept() -> RestError:
    """The database has no place for requests that name themselves."""
    return RestError(
        Problem(
            status=400,
            code="WS833",
            message="Idempotency-Key is not supported by this database",
            details="It keeps no requests: the write was not tried",
            hint="Leave the header out, or use an upsert with a key that the client makes.",
        )
    )


def key_malformed() -> RestError:
    """A name that cannot be kept."""
    return RestError(
        Problem(
            status=400,
            code="WS834",
            message="Idempotency-Key is 1 to 255 printable ASCII characters",
            hint="A UUID for each request is a good one.",
        )
    )
