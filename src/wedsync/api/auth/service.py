"""What the endpoints of sign-in share: settings, keys, store, and how a letter or a session comes about."""

from dataclasses import dataclass
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

from wedsync.api.auth.delivery import Delivery
from wedsync.api.auth.errors import AuthError
from wedsync.api.auth.letters import Content
from wedsync.api.auth.passwords import Passwords
from wedsync.api.auth.policy import Redirects, require_strong
from wedsync.api.auth.secret_values import PKCE_PREFIX, AuthSecret, hash_of, new_code, new_token
from wedsync.api.auth.sessions import Opening, TokenMaker
from wedsync.api.auth.store import Account, Origin, Outcome, Store, outcome_in
from wedsync.api.auth.throttle import CallsByAddress, Pause, Throttle
from wedsync.api.callers import SigningKeys
from wedsync.clock import Clock
from wedsync.config import AuthConfig
from wedsync.database.pipeline import Statement

_TYPE_IN_LINK = {"email_change_current": "email_change", "email_change_new": "email_change"}
_WITHOUT_LINK = frozenset({"reauthentication"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """PKCE: what the client that asked will have to show."""

    challenge: str
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTime:
    """What a letter asks to be shown, and the statements that keep and send it."""

    token: str
    code: str
    link: str
    keep: tuple[Statement, ...]
    send: tuple[Statement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Everything an endpoint needs."""

    config: AuthConfig
    api_url: str
    store: Store
    secret: AuthSecret
    keys: SigningKeys
    tokens: TokenMaker
    passwords: Passwords
    throttle: Throttle
    calls: CallsByAddress
    redirects: Redirects
    delivery: Delivery
    clock: Clock

    def require_strong(self, password: str) -> None:
        """Raise `AuthError` for a password that the settings do not allow."""
        require_strong(
            password, min_length=self.config.password_min_length, needs=self.config.password_needs.split()
        )

    def opening(self, origin: Origin) -> Opening:
        """A session that is about to begin."""
        return Opening(str(uuid4()), origin, self.config.session_lasts)

    async def begin(self, account: Account, method: str, origin: Origin, *before: Statement) -> dict[str, object]:
        """The answer to whoever signed in: a new session. `before` runs in the same transaction."""
        opening = self.opening(origin)
        begun = self.store.statement("open_session", account.id, method, opening.facts)
        results = await self.store.run(*before, begun, by=account.id, origin=origin)
        return self.answer(outcome_in(results[-1]), opening.refresh_token)

    def answer(self, outcome: Outcome, refresh_token: str) -> dict[str, object]:
        """The session that a function of the database began or went on with."""
        if not outcome.account or outcome.session is None:
            raise AuthError(500, "unexpected_failure", f"no session came of it: {outcome.outcome}")
        return self.tokens.answer(outcome.account, outcome.session, refresh_token)

    def one_time(
        self,
        purpose: str,
        *,
        user_id: str,
        email: str,
        redirect_to: str,
        proof: Proof | None = None,
        new_email: str | None = None,
    ) -> OneTime:
        """A fresh token and code for a purpose, and a letter with them."""
        token = (PKCE_PREFIX if proof else "") + new_token()
        code = new_code()
        values = {
            "token": token,
            "type": _TYPE_IN_LINK.get(purpose, purpose),
            "redirect_to": redirect_to,
        }
        link = f"{self.api_url}/auth/v1/verify?{urlencode(values, quote_via=quote)}"
        content = Content(
            link=None if purpose in _WITHOUT_LINK else link,
            code=code,
            site=self.redirects.site_url,
            new_email=new_email,
        )
        keep = self.store.statement(
            "put_one_time_token",
            UUID(user_id),
            purpose,
            email,
            hash_of(token),
            self.secret.code_hash(email, code),
            proof.challenge if proof else None,
            proof.method if proof else None,
            self.config.letter_lasts.total_seconds(),
        )
        mark = self.store.statement("mark_sent", UUID(user_id), purpose)
        return OneTime(
            token=token,
            code=code,
            link=link,
            keep=(keep, mark),
            send=(self.letter(purpose, user_id, email, content),),
        )

    def letter(self, kind: str, user_id: str, recipient: str, content: Content) -> Statement:
        """Puts a letter into the queue, in the transaction that makes it due."""
        values = {name: getattr(content, name) for name in content.__struct_fields__}
        return self.store.statement("put_letter", UUID(user_id), recipient, kind, values)

    async def require_quiet(self, kind: str, email: str, origin: Origin) -> None:
        """Raise 429 if this address had a letter of this kind a moment ago, or would have had, and count this one.

        The same for addresses without an account: the answer tells nothing about them.
        """
        every = self.config.letter_every
        if not every:
            return
        subject = f"letter {kind}"
        results = await self.store.run(
            self.throttle.question((subject, email)),
            origin=origin,
        )
        self.throttle.require_free(results[0], code="over_email_send_rate_limit")
        await self.store.run(
            self.throttle.hit(subject, email, Pause(free=1, first=every, longest=every)), origin=origin
        )
