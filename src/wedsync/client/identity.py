"""As whom statements run: a role, and the claims that row-level security reads."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from wedsync.errors import UsageProblem

SERVICE = "service_role"
USER = "authenticated"


@dataclass(frozen=True, slots=True)
class Identity:
    """A role and its claims, as PostgreSQL gets them."""

    role: str
    claims: str

    def parameters(self) -> dict[str, str]:
        """For the statement `become`."""
        return {"role": self.role, "claims": self.claims}


def user(claims: Mapping[str, object]) -> Identity:
    """Whoever a token's claims name; the role is theirs, or `authenticated`. Raises `UsageProblem`."""
    role = claims.get("role", USER)
    subject = claims.get("sub")
    if not isinstance(role, str) or role in {"", "none"} or "\0" in role:
        raise UsageProblem(
            "the claims name no role", detail=f"role: {type(role).__name__}", hint=f"such as {USER}"
        )
    if role == USER and not isinstance(subject, str):
        raise UsageProblem("the claims name no user", hint="put the user's id into `sub`")
    return Identity(role, msgspec.json.encode({**claims, "role": role}).decode())


def service() -> Identity:
    """The service itself: it sees every tenant's rows."""
    return Identity(SERVICE, msgspec.json.encode({"role": SERVICE}).decode())
