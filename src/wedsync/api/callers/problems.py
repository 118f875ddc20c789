"""Why a token is not taken, in words that sign-in, the data API and operations each put into their own answer."""

from enum import StrEnum


class TokenProblemKind(StrEnum):
    """What is wrong: each kind is one code of the data API."""

    NO_KEYS = "no keys"
    """A token came, and nothing is configured to check one with."""
    UNREADABLE = "unreadable"
    """It is no token of ours: its form, its algorithm or its signature."""
    MISSING = "missing"
    """None came, and nobody may be anonymous here."""
    CLAIMS = "claims"
    """Signed by us, but expired, not valid yet, for somebody else, or malformed."""
    ROLE = "role"
    """It names a role that is not served here."""


class TokenProblem(Exception):
    """The token or key of a request does not hold."""

    def __init__(self, kind: TokenProblemKind, message: str, *, detail: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.detail = detail
