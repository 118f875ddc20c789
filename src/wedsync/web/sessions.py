"""Signing in to the console: a link that works once, then a session. Only hashes of both are kept."""

import hashlib
import secrets
from datetime import timedelta

from wedsync.clock import Clock
from wedsync.state import StateStore, as_text

LINK_LASTS = timedelta(minutes=15)
SESSION_LASTS = timedelta(hours=12)


def create_sign_in_link(state: StateStore, clock: Clock) -> str:
    """The token of a new link to `/admin/sign-in?token=…`; it is a secret, and kept nowhere."""
    token = secrets.token_urlsafe(32)
    state.write(
        "insert into sign_in_links (token_hash, expires_at) values (?, ?)",
        (_hash(token), as_text(clock.now() + LINK_LASTS)),
    )
    return token


class Sessions:
    """The console's sessions in the state file."""

    def __init__(self, state: StateStore, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def redeem(self, token: str) -> str | None:
        """Use a link up; gives the secret of the new session, or `None` if the link is used, old or unknown."""
        now = self._clock.now()
        session = secrets.token_urlsafe(32)
        with self._state.transaction():
            used = self._state.row(
                "update sign_in_links set used_at = ?"
                " where token_hash = ? and used_at is null and expires_at > ? returning token_hash",
                (as_text(now), _hash(token), as_text(now)),
            )
            if used is None:
                return None
            self._state.write(
                "insert into console_sessions (token_hash, created_at, expires_at) values (?, ?, ?)",
                (_hash(session), as_text(now), as_text(now + SESSION_LASTS)),
            )
            self._state.write("delete from console_sessions where expires_at <= ?", (as_text(now),))
            self._state.write("delete from sign_in_links where expires_at <= ?", (as_text(now),))
        return session

    def is_open(self, session: str | None) -> bool:
        """Whether a session exists and has not ended."""
        if not session:
            return False
        found = self._state.row(
            "select 1 from console_sessions where token_hash = ? and expires_at > ?",
            (_hash(session), as_text(self._clock.now())),
        )
        return found is not None

    def close(self, session: str) -> None:
        """End a session."""
        self._state.write("delete from console_sessions where token_hash = ?", (_hash(session),))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
