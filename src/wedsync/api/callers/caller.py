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
    """Whether it came as the anonymous role: 42501 is 401 for it, 403 for the others."""
    counted_as: str = ""
    """Whose calls are counted together: the person or key; empty: whoever calls from the same address."""
    tenant: str = ""
    """The organization a key acts for; empty for a person, who may belong to several."""
    may_write: bool = True
    """Whether its key allows anything but reading; what a person may do is the database's to say."""
