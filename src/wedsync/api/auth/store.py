"""What sign-in asks of the database: statements by name, each request one transaction as service_role."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from wedsync.api.limits import network_of
from wedsync.clock import Clock
from wedsync.database.pipeline import Result, Statement, Work
from wedsync.sql import statements

ROLE = "service_role"
UNIQUE_VIOLATION = "23505"
_TIMEOUT_MS = 10_000
Value = str | bytes | bool | int | float | UUID | datetime | Mapping[str, object] | Sequence[str] | None


class Database(Protocol):
    """What runs a transaction: the pool that all requests share."""

    async def run(self, work: Work) -> list[Result]: ...


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What is decided upon of an account; `shown` is the whole of it as clients see it."""

    id: str
    email: str
    created_at: datetime
    is_anonymous: bool = False
    email_confirmed_at: datetime | None = None
    banned_until: str | None = None
    new_email: str | None = None
    app_metadata: dict[str, object]
    user_metadata: dict[str, object]
    factors: tuple["Factor", ...] = ()
    phone: str = ""

    @property
    def has_second_factor(self) -> bool:
        """Whether one factor is not enough to be sure of the person."""
        return any(factor.status == "verified" for factor in self.factors)


class Factor(msgspec.Struct, frozen=True, kw_only=True):
    """A second factor."""

    id: str
    status: str
    friendly_name: str = ""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in on a device."""

    id: str
    aal: str
    amr: tuple[dict[str, object], ...]
    created_at: datetime


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it was read: to decide upon, to show, and its password's hash."""

    account: Account
    shown: msgspec.Raw
    password_hash: str | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a function of the database came to."""

    outcome: str
    account: msgspec.Raw = msgspec.Raw()
    """Empty where nothing came of it."""
    session: Session | None = None
    user_id: str | None = None
    session_id: str | None = None


class Store:
    """Runs named statements."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("auth")

    def statement(self, name: str, *values: Value) -> Statement:
        """A statement of `sql/auth.sql` with its values."""
        return Statement(self._sql[name], tuple(map(_as_text, values)))

    async def run(self, *wanted: Statement, by: str | None = None, origin: "Origin | None" = None) -> list[Result]:
        """All of them in one transaction; `by` is the person who does it, for the history."""
        claims = {"role": ROLE, "sub": by} if by is not None else {"role": ROLE}
        settings = [("request.jwt.claims", msgspec.json.encode(claims))]
        if origin is not None:
            settings += [("request.id", origin.request_id.encode()), ("request.forwarded_for", origin.ip.encode())]
        return await self._database.run(
            Work(
                role=ROLE,
                settings=tuple(settings),
                statements=wanted,
                read_only=False,
                statement_timeout_ms=_TIMEOUT_MS,
            )
        )

    async def person(self, name: str, *values: Value) -> Person | None:
        """The account that a statement finds."""
        return person_in((await self.run(self.statement(name, *values)))[0])


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request came from."""

    ip: str
    user_agent: str | None
    request_id: str

    @property
    def network(self) -> str:
        """Under what failures are counted."""
        return network_of(self.ip)


def person_in(result: Result) -> Person | None:
    """The account in a result of two columns: as shown, and the password's hash."""
    if not result.rows:
        return None
    shown, password_hash, *_ = result.rows[0]
    if shown is None:
        return None
    return Person(
        account=msgspec.json.decode(shown, type=Account),
        shown=msgspec.Raw(shown),
        password_hash=None if password_hash is None else password_hash.decode(),
    )


def outcome_in(result: Result) -> Outcome:
    """What a function said."""
    return msgspec.json.decode(scalar_in(result) or b"{}", type=Outcome)


def scalar_in(result: Result) -> bytes | None:
    """The first column of the first row; `None` without one."""
    return result.rows[0][0] if result.rows else None


def _as_text(value: Value) -> bytes | None:  # noqa: PLR0911 - a table of types
    """A value as PostgreSQL reads it in text form."""
    match value:
        case None:
            return None
        case str():
            return value.encode()
        case bytes():
            return b"\\x" + value.hex().encode()
        case bool():
            return b"true" if value else b"false"
        case int() | float() | UUID():
            return str(value).encode()
        case datetime():
            return value.isoformat().encode()
        case Mapping():
            return msgspec.json.encode(value)
        case _:
            quoted = (item.replace("\\", "\\\\").replace('"', '\\"') for item in value)
            return ("{" + ",".join(f'"{item}"' for item in quoted) + "}").encode()


def is_banned(person: Person, clock: Clock) -> bool:
    """Whether an account is shut at present."""
    until = person.account.banned_until
    return until is not None and (until == "infinity" or datetime.fromisoformat(until) > clock.now())
