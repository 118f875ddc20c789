"""What a client holds after it signed in: an access token and a refresh token."""

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from wedsync.api.auth.secret_values import AuthSecret, hash_of, new_token
from wedsync.api.auth.store import Account, Origin, Session
from wedsync.api.callers import SigningKeys
from wedsync.clock import Clock

AUDIENCE = "authenticated"


class Opening:
    """A session that is about to begin: its refresh token, and what the database gets of it."""

    def __init__(self, session_id: str, origin: Origin, lasts: timedelta | None) -> None:
        self.refresh_token = new_token()
        self.facts: Mapping[str, object] = {
            "id": session_id,
            "token_hash": hash_of(self.refresh_token).hex(),
            "user_agent": origin.user_agent,
            "ip": origin.ip or None,
            "lasts_s": None if lasts is None else lasts.total_seconds(),
        }


class TokenMaker:
    """Makes the answer to whoever signed in."""

    def __init__(
        self, keys: SigningKeys, secret: AuthSecret, *, issuer: str, lasts: timedelta, clock: Clock
    ) -> None:
        self._keys = keys
        self._secret = secret
        self._issuer = issuer
        self._lasts_s = round(lasts.total_seconds())
        self._clock = clock

    def successor(self, refresh_token: str) -> str:
        """The refresh token that follows one."""
        return self._secret.successor(refresh_token)

    def answer(self, shown: msgspec.Raw, session: Session, refresh_token: str) -> dict[str, object]:
        """The body of an answer that holds a session."""
        account = msgspec.json.decode(shown, type=Account)
        now = int(self._clock.now().timestamp())
        return {
            "access_token": self._keys.sign(self.claims(account, session, now)),
            "token_type": "bearer",
            "expires_in": self._lasts_s,
            "expires_at": now + self._lasts_s,
            "refresh_token": refresh_token,
            "user": shown,
        }

    def claims(self, account: Account, session: Session, now: int) -> dict[str, object]:
        """What an access token says, as row-level security and the client libraries read it."""
        return {
            "iss": self._issuer,
            "sub": account.id,
            "aud": AUDIENCE,
            "exp": now + self._lasts_s,
            "iat": now,
            "email": account.email,
            "phone": account.phone,
            "app_metadata": account.app_metadata,
            "user_metadata": account.user_metadata,
            "role": AUDIENCE,
            "aal": session.aal,
            "amr": list(session.amr),
            "session_id": session.id,
            "is_anonymous": account.is_anonymous,
        }
