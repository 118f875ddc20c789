"""Who a request is from, as far as the database has to know."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The caller of one request: checked, and allowed to be what it says."""

    role: str
    """The database role its statements run as."""
    claims: Mapping[str, object]
    """The claims of the token; without a token `{"role": <the anonymous role>}`."""
    claims_json: bytes
    """The same as PostgreSQL gets them in `request.jwt.claims`: made once a token, not once a request."""
    is_anonymous: bool
    """Whether it came without a token of its own: 42501 is 401 for it, 403 for the others."""
