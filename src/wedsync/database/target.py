"""Where a database is and as whom to connect; opening one connection to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self
from urllib.parse import quote, urlencode

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from wedsync.errors import CannotConnect, ConfigProblem, ServerNotReady, SignInRefused

_NAMED = ("host", "port", "dbname", "user", "password", "sslmode", "sslrootcert", "application_name")
_NOT_READY = (
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is in recovery mode",
    "the database system is not yet accepting connections",
    "the database system is not accepting connections",
)
_REFUSED = (
    "password authentication failed",
    "authentication failed for user",
    "no pg_hba.conf entry",
    "pg_hba.conf rejects",
    "is not permitted to log in",
    "no password supplied",
)
_NO_ROUTE = ("No such file or directory", "Connection refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionTarget:
    """A database and the role to use there. Its text forms never show the password."""

    host: str
    """Host name, address, or directory of a unix socket."""
    port: int
    dbname: str
    user: str
    password: str | None = field(default=None, repr=False)
    sslmode: str | None = None
    sslrootcert: str | None = None
    application_name: str = "wedsync"
    further: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Other libpq parameters, such as `passfile` or `target_session_attrs`."""
    as_given: Mapping[str, str] | None = field(default=None, repr=False)
    """All of libpq's parameters, where a DSN names several hosts or a service: they go to it as they are."""

    @classmethod
    def from_dsn(cls, dsn: str, *, any_host: bool = False) -> Self:
        """The target that a DSN (URL or `key=value` words) names; `ConfigProblem` if it is malformed.

        With `any_host` it may name a service or several hosts, of which libpq takes the first that fits.
        """
        try:
            given = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
            port = int((given.get("port") or "5432").partition(",")[0])
        except (psycopg.ProgrammingError, ValueError) as error:
            # The driver's words may repeat the DSN, password included: they are not passed on.
            raise ConfigProblem(
                "the DSN is malformed",
                detail=f"the driver could not read it ({type(error).__name__})",
                hint="write it like postgresql://user@host:5432/database?sslmode=verify-full",
            ) from None
        if any_host and ("service" in given or "," in given.get("host", "") + given.get("hostaddr", "")):
            return cls._of_several(given)
        if "service" in given or "," in given.get("host", ""):
            raise ConfigProblem(
                "the DSN names a service or several hosts",
                detail="one host is looked after, and it has to be known by name",
                hint="write host and port of the primary into the DSN; a password may stay in ~/.pgpass",
            )
        user = given.get("user") or "postgres"
        return cls(
            host=given.get("host") or given.get("hostaddr") or "localhost",
            port=port,
            dbname=given.get("dbname") or user,
            user=user,
            password=given.get("password"),
            sslmode=given.get("sslmode"),
            sslrootcert=given.get("sslrootcert"),
            application_name=given.get("application_name") or "wedsync",
            further={name: value for name, value in given.items() if name not in _NAMED},
        )

    @classmethod
    def _of_several(cls, given: Mapping[str, str]) -> Self:
        """A target whose hosts, ports and whatever a service file adds are libpq's to read."""
        return cls(
            host=given.get("host") or given.get("hostaddr") or f"service {given['service']}",
            port=5432,
            dbname=given.get("dbname") or given.get("user") or "",
            user=given.get("user") or "",
            password=given.get("password"),
            application_name=given.get("application_name") or "wedsync",
            as_given=dict(given),
        )

    @property
    def is_local_socket(self) -> bool:
        """Whether it goes through a unix socket rather than TCP."""
        return self.host.startswith(("/", "@"))

    def __str__(self) -> str:
        if self.as_given is not None:
            return f"{self.user}@{self.host}/{self.dbname}"
        return f"{self.user}@{self.host}:{self.port}/{self.dbname}"

    def parameters(self) -> dict[str, str]:
        """libpq's parameters, the password included."""
        if self.as_given is not None:
            return {"application_name": self.application_name, **self.as_given, **self.further}
        given = {
            **self.further,
            "host": self.host,
            "port": str(self.port),
            "dbname": self.dbname,
            "user": self.user,
            "application_name": self.application_name,
        }
        for name in ("password", "sslmode", "sslrootcert"):
            value = getattr(self, name)
            if value is not None:
                given[name] = value
        return given

    def dsn(self, *, with_password: bool) -> str:
        """The target as a URL. With the password it is a secret: only `keys` prints it."""
        given = self.parameters()
        password = given.pop("password", None)
        host, port = given.pop("host"), given.pop("port")
        dbname, user = given.pop("dbname"), given.pop("user")
        account = quote(user, safe="")
        if with_password and password is not None:
            account += ":" + quote(password, safe="")
        if self.is_local_socket:
            place, given = f":{port}", {"host": host, **given}
        else:
            place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"postgresql://{account}@{place}/{quote(dbname, safe='')}?{urlencode(given, quote_via=quote)}"

    async def connect(
        self, *, autocommit: bool = True, connect_timeout: timedelta = timedelta(seconds=10)
    ) -> AsyncConnection[TupleRow]:
        """Open one connection; the caller closes it (`async with await target.connect() as connection`).

        Over TCP a host that vanished is noticed within about ten seconds. Raises `ServerNotReady` while
        the server starts, recovers or stops, `SignInRefused` where it refuses the role, `CannotConnect`
        otherwise.
        """
        try:
            return await AsyncConnection.connect(
                make_conninfo(**self.parameters()),
                autocommit=autocommit,
                connect_timeout=max(1, round(connect_timeout.total_seconds())),
                keepalives_idle=5,
                keepalives_interval=2,
                keepalives_count=2,
                tcp_user_timeout=10_000,
            )
        except psycopg.OperationalError as error:
            raise _explained(self, error) from error


def _explained(target: ConnectionTarget, error: psycopg.OperationalError) -> CannotConnect:
    said = " ".join(str(error).split())
    if any(words in said for words in _NOT_READY):
        return ServerNotReady(f"{target} does not take connections yet", detail=said)
    if any(words in said for words in _REFUSED):
        return SignInRefused(
            f"{target.host}:{target.port} refuses {target.user!r}",
            detail=said,
            hint="check the password and pg_hba.conf of that server",
        )
    hint = "is it running? wedsync status" if any(words in said for words in _NO_ROUTE) else None
    return CannotConnect(f"cannot connect to {target}", detail=said, hint=hint)
