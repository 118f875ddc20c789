"""Keys that an organization makes for its programs (`wsk_…`): asked of the database, remembered for seconds."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from time import monotonic
from typing import Any

import msgspec

from wedsync.api.callers.caller import Caller
from wedsync.api.callers.problems import TokenProblem, TokenProblemKind
from wedsync.database.pipeline import Result, Statement, Work
from wedsync.errors import BeingTakenBack

PREFIX = b"wsk_"
RunWork = Callable[[Work], Awaitable[list[Result]]]
"""Carries out work on the database, as the pool does."""

_LONGEST_KEY_BYTES = 200
_HOLDS_S = 15.0
"""A key that is revoked works for so long after."""
_MOST_KNOWN = 10_000
_TIMEOUT_MS = 3000
_WRITES = frozenset({"write", "money"})
_CHECK_ONLY = (  # what the function does, but for its note of when the key was last used
    b"select organization_id, id, to_json(scopes) from public.api_keys"
    b" where organization_id = app.secret_organization($1, 'wsk_') and key_hash = app.secret_hash($1)"
    b" and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())"
)
_CHECK = b"select organization_id, key_id, to_json(scopes) from app.check_api_key($1)"


class ApiKeys:
    """Makes callers of keys; a key that was checked a moment ago costs a look-up."""

    def __init__(self, run: RunWork, *, role: str = "authenticated", asks_as: str = "service_role") -> None:
        """Callers get `role`; the question is asked as `asks_as`, the only one that may."""
        self._run = run
        self._role = role
        self._asks_as = asks_as
        self._known: dict[bytes, tuple[Caller, float]] = {}

    def knows(self, key: bytes) -> bool:
        """Whether it was checked a moment ago."""
        known = self._known.get(sha256(key).digest())
        return known is not None and monotonic() < known[1]

    async def caller(self, key: bytes) -> Caller:
        """Whoever this key was made for. Raises `TokenProblem` for one that is wrong, revoked or expired."""
        digest = sha256(key).digest()
        known = self._known.pop(digest, None)
        if known is not None and monotonic() < known[1]:
            self._known[digest] = known
            return known[0]
        if len(key) > _LONGEST_KEY_BYTES or not key.isascii() or b"\0" in key:
            raise _refused()
        try:
            found = await self._ask(_CHECK, key, read_only=False)
        except BeingTakenBack:
            found = await self._ask(_CHECK_ONLY, key, read_only=True)
        if not found.rows:
            raise _refused()
        caller = self._made(*found.rows[0])
        while len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[digest] = (caller, monotonic() + _HOLDS_S)
        return caller

    async def _ask(self, check: bytes, key: bytes, *, read_only: bool) -> Result:
        (found,) = await self._run(
            Work(
                role=self._asks_as,
                settings=(("request.jwt.claims", b'{"role":"' + self._asks_as.encode() + b'"}'),),
                statements=(Statement(check, (key,)),),
                read_only=read_only,
                statement_timeout_ms=_TIMEOUT_MS,
            )
        )
        return found

    def _made(self, organization: bytes | None, key: bytes | None, scopes: bytes | None) -> Caller:
        tenant, identity = (organization or b"").decode(), (key or b"").decode()
        allowed = msgspec.json.decode(scopes or b"[]", type=list[str])
        claims: dict[str, Any] = {
            "role": self._role,
            "sub": identity,  # no person has this id: it is who did it in the history, and member of nothing
            "api_key": {"id": identity, "organization_id": tenant, "scopes": allowed},
        }
        return Caller(
            role=self._role,
            claims=claims,
            claims_json=msgspec.json.encode(claims),
            is_anonymous=False,
            counted_as=f"key {identity}",
            tenant=tenant,
            may_write=not _WRITES.isdisjoint(allowed),
        )


def _refused() -> TokenProblem:
    return TokenProblem(TokenProblemKind.UNREADABLE, "The API key is not valid, or no longer")
