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


def key_needs_name() -> RestError:
    """Nobody in particular calls: others who come like this would get the answer too."""
    return RestError(
        Problem(
            status=401,
            code="WS835",
            message="Idempotency-Key is for callers with a name",
            details="The token has no sub, or there is none: the write was not tried",
            hint="Sign in, or leave the header out.",
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
