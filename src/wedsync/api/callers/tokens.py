"""JSON web tokens: checked once, then known by their digest until they expire."""

from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from time import time
from typing import Any, ClassVar, cast

import msgspec

from wedsync.api.callers.caller import Caller
from wedsync.api.callers.claim_path import ClaimPath
from wedsync.api.callers.keyset import KeyFile, KeySet
from wedsync.api.callers.problems import TokenProblem, TokenProblemKind
from wedsync.errors import ConfigProblem
from wedsync.events import Event, observe

_SKEW_S = 30
_MOST_KNOWN = 10_000
_LONGEST_TOKEN_BYTES = 16_384
_LOOK_AGAIN_S = 5.0
_NEVER = float("inf")
_OBJECT = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What a token must say."""

    anonymous_role: str | None = "anon"
    """The role of calls without a token; `None`: there are none."""
    roles: frozenset[str] | None = None
    """The roles that are served; `None`: what the database lets us become."""
    audience: str | None = None
    """Who a token must be for, where it says so."""
    role_claim: str = ".role"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysNotRead(Event):
    """The file of keys was replaced by one that cannot be read; the keys that it had before hold on."""

    level: ClassVar[str] = "error"
    message: str


class Tokens:
    """Makes callers of tokens. A token that was checked before costs a look-up."""

    def __init__(self, keys: KeySet | KeyFile, rules: TokenRules, *, now: Callable[[], float] = time) -> None:
        self._file = keys if isinstance(keys, KeyFile) else None
        self._keys = keys.read() if isinstance(keys, KeyFile) else keys
        self._rules = rules
        self._role_at = ClaimPath(rules.role_claim)
        self._now = now
        self._known: dict[bytes, tuple[Caller, float]] = {}
        self._looked_at = 0.0
        role = rules.anonymous_role
        self._anonymous = None if role is None else _caller({"role": role}, role, anonymous=True)

    def anonymous(self) -> Caller:
        """Whoever comes without a token. Raises `TokenProblem` where nobody may."""
        if self._anonymous is None:
            raise TokenProblem(TokenProblemKind.MISSING, "Anonymous access is disabled")
        return self._anonymous

    def caller(self, token: bytes) -> Caller:
        """Whoever this token was given to. Raises `TokenProblem`."""
        digest = sha256(token).digest()
        known = self._known.get(digest)
        if known is not None:
            if self._now() <= known[1]:
                return known[0]
            del self._known[digest]
        claims = self._claims(token)
        self._check(claims)
        caller = self._admitted(claims)
        while len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        expires = claims.get("exp")
        self._known[digest] = (caller, float(cast("float", expires)) + _SKEW_S if expires is not None else _NEVER)
        return caller

    def replace_keys(self, keys: KeySet) -> None:
        """Other keys hold from now on; what was checked with the old ones is checked again."""
        self._keys = keys
        self._known.clear()

    def _claims(self, token: bytes) -> dict[str, Any]:
        """The claims, if one of our keys signed them."""
        if not token:
            raise _unreadable("Empty JWT is sent in Authorization header")
        if not self._keys.keys:
            raise TokenProblem(TokenProblemKind.NO_KEYS, "Server lacks JWT secret")
        parts = token.split(b".")
        if len(parts) != 3:
            raise _unreadable(f"Expected 3 parts in JWT; got {len(parts)}")
        if len(token) > _LONGEST_TOKEN_BYTES:
            raise _unreadable("The JWT is too long")
        try:
            header = _json_object(parts[0])
            signature = _decoded(parts[2])
        except (ValueError, msgspec.DecodeError, RecursionError):
            raise _unreadable("JWT cryptographic operation failed") from None
        self._verify(header, parts[0] + b"." + parts[1], signature)
        try:
            return _json_object(parts[1])
        except (ValueError, msgspec.DecodeError, RecursionError):
            raise TokenProblem(TokenProblemKind.CLAIMS, "Parsing claims failed") from None

    def _verify(self, header: Mapping[str, Any], signed: bytes, signature: bytes) -> None:
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or not isinstance(kid, str | None) or "crit" in header:
            raise _unreadable("Wrong or unsupported encoding algorithm")
        candidates = self._keys.fitting(algorithm, kid)
        if not candidates and self.look_for_new_keys():
            candidates = self._keys.fitting(algorithm, kid)
        if not candidates:
            if not self._keys.knows(algorithm):
                raise _unreadable("Wrong or unsupported encoding algorithm")
            raise _unreadable("No suitable key or wrong key type")
        if not any(key.verifies(signed, signature, algorithm) for key in candidates):
            raise _unreadable("No suitable key or wrong key type")

    def look_for_new_keys(self) -> bool:
        """Whether the file of keys was replaced, and is read now; it is looked at every few seconds at the most.

        A file that cannot be read changes nothing: the keys that were read before hold on.
        """
        now = self._now()
        if self._file is None or now - self._looked_at < _LOOK_AGAIN_S:
            return False
        self._looked_at = now
        if not self._file.changed():
            return False
        try:
            self.replace_keys(self._file.read())
        except ConfigProblem as problem:
            observe(KeysNotRead(message=str(problem)))
            return False
        return True

    def _check(self, claims: Mapping[str, Any]) -> None:
        """Times and audience, with half a minute for clocks that differ."""
        now = int(self._now())
        if _seconds(claims, "exp", now) < now - _SKEW_S:
            raise _claim("JWT expired")
        if _seconds(claims, "nbf", now) > now + _SKEW_S:
            raise _claim("JWT not yet valid")
        if _seconds(claims, "iat", now) > now + _SKEW_S:
            raise _claim("JWT issued at future")
        given = claims.get("aud")
        audiences: list[object] = [given] if isinstance(given, str) else cast("list[object]", given or [])
        if not isinstance(given, str | list | None) or not all(isinstance(each, str) for each in audiences):
            raise _claim("The JWT 'aud' claim must be a string or an array of strings")
        if self._rules.audience is not None and audiences and self._rules.audience not in audiences:
            raise _claim("JWT not in audience")

    def _admitted(self, claims: dict[str, Any]) -> Caller:
        found = self._role_at.find(claims)
        if found is None:
            role = self.anonymous().role
        else:
            role = found if isinstance(found, str) else msgspec.json.encode(found).decode()
        served = self._rules.roles
        # `none` would undo the change of role: statements would run as the role that we sign in as.
        if role == "none" or not role or "\0" in role or (served is not None and role not in served):
            raise TokenProblem(
                TokenProblemKind.ROLE, "The role of the JWT is not served here", detail=f"role {role[:63]!r}"
            )
        return _caller(claims | {"role": role}, role, anonymous=role == self._rules.anonymous_role)


def _caller(claims: Mapping[str, object], role: str, *, anonymous: bool) -> Caller:
    subject = claims.get("sub")
    return Caller(
        role=role,
        claims=claims,
        claims_json=msgspec.json.encode(claims),
        is_anonymous=anonymous,
        counted_as=f"user {subject}" if isinstance(subject, str) and subject else "",
    )


def _seconds(claims: Mapping[str, Any], name: str, absent: int) -> float:
    value = claims.get(name)
    if value is None:
        return absent
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _claim(f"The JWT '{name}' claim must be a number")
    return value


def _json_object(part: bytes) -> dict[str, Any]:
    return _OBJECT.decode(_decoded(part))


def _decoded(part: bytes) -> bytes:
    if b"+" in part or b"/" in part:  # of the other alphabet, which the decoder takes too
        raise ValueError("not base64url")
    return b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _unreadable(message: str) -> TokenProblem:
    return TokenProblem(TokenProblemKind.UNREADABLE, message)


def _claim(message: str) -> TokenProblem:
    return TokenProblem(TokenProblemKind.CLAIMS, message)
