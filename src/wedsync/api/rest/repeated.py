"""Writes that name themselves (`Idempotency-Key`): done once, however often they are sent."""

from wedsync.api.callers import ADMINISTRATOR
from wedsync.api.limits import LONGEST_KEY_BYTES, Done, OnceOnly, digest_of
from wedsync.api.rest.errors import key_malformed, key_needs_name, key_not_kept
from wedsync.api.rest.transaction import Incoming
from wedsync.database.pipeline import StatementFailed, Work

_NO_REQUESTS = {"42883": "begin_request", "3F000": 'schema "app"'}
"""By SQLSTATE, what PostgreSQL names where migration 0019 is not."""


async def run_once(once: OnceOnly | None, incoming: Incoming, work: Work, key: bytes) -> Done:
    """What the write gave, now or the first time. Raises `RestError` for a key that cannot be kept."""
    if once is None:
        raise key_not_kept()
    if not incoming.caller.counted_as and incoming.caller.role != ADMINISTRATOR:
        raise key_needs_name()
    if not 0 < len(key) <= LONGEST_KEY_BYTES or not key.isascii() or not key.decode().isprintable():
        raise key_malformed()
    scope, headers = incoming.scope, incoming.headers
    path = scope["path"][len(scope.get("root_path", "")) :]
    profile = (headers.content_profile or "").encode()
    relevant = (headers.content_type, headers.accept, headers.prefer, profile)
    digest = digest_of(scope["method"], path, scope["query_string"], incoming.body, relevant)
    try:
        return await once.run(work, key=key, digest=digest)
    except StatementFailed as failure:
        if _NO_REQUESTS.get(failure.sqlstate, "\n") in failure.said.message:
            raise key_not_kept() from failure
        raise
