"""PKCE in a request's body (RFC 7636): what the client that asks will show later."""

import re

import msgspec

from wedsync.api.auth.errors import invalid
from wedsync.api.auth.service import Proof

_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class WithProof(msgspec.Struct, frozen=True, kw_only=True):
    """The two fields; both or none."""

    code_challenge: str | None = None
    code_challenge_method: str | None = None

    def proof(self) -> Proof | None:
        """What is to be shown; raises `AuthError` for half of it."""
        if not self.code_challenge and not self.code_challenge_method:
            return None
        method = (self.code_challenge_method or "").lower()
        if not self.code_challenge or method not in {"s256", "plain"}:
            raise invalid("PKCE flow requires code_challenge_method (s256 or plain) and code_challenge")
        if not _CHALLENGE.fullmatch(self.code_challenge):
            raise invalid(
                "code challenge has to be between 43 and 128 characters of A-Z, a-z, 0-9, '-', '.', '_', '~'"
            )
        return Proof(challenge=self.code_challenge, method=method)
