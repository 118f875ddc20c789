"""Which database: a DSN, or a home of the platform on this machine."""

from dataclasses import replace
from pathlib import Path

from wedsync.config import Home, Profile, load_config
from wedsync.database import ConnectionTarget
from wedsync.errors import SecretProblem, UsageProblem

ROLE = "wedsync_gateway"
"""A home is connected to as the role that may do nothing but become `anon`, `authenticated` or `service_role`."""
_EVERYWHERE = {"", "*", "0.0.0.0", "::", "127.0.0.1"}  # noqa: S104 - compared


def find_target(dsn: str | None, home: Path | str | None, *, application_name: str) -> ConnectionTarget:
    """The database that is named by one of the two; a home is what its file says, whatever our environment.

    Raises `UsageProblem`, `ConfigProblem`, `SecretProblem`.
    """
    if (dsn is None) == (home is None):
        raise UsageProblem("say which database", hint="connect(DSN), or connect(home=DIRECTORY)")
    if dsn is not None:
        return _named(ConnectionTarget.from_dsn(dsn), application_name)
    assert home is not None  # noqa: S101 - see above
    place = Home(Path(home))
    config = load_config(place, {}).config
    if config.profile is not Profile.LOCAL:
        raise UsageProblem(
            "the home looks after somebody else's PostgreSQL", hint="connect to that one by its DSN"
        )
    address = config.cluster.listen_addresses.partition(",")[0].strip()
    return ConnectionTarget(
        host="localhost" if address in _EVERYWHERE else address,
        port=config.cluster.port,
        dbname=config.database.name,
        user=ROLE,
        password=_password(place),
        sslmode="verify-full",
        sslrootcert=str(place.ca_certificate),
        application_name=application_name,
    )


def _password(home: Home) -> str:
    path = home.secrets / ROLE
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SecretProblem(
            f"cannot read the password of {ROLE}",
            detail=str(error),
            hint="is it a home, made by bin/up, and are you its owner? Elsewhere connect by a DSN",
        ) from error


def _named(target: ConnectionTarget, application_name: str) -> ConnectionTarget:
    """A DSN that names no application gets ours."""
    return replace(target, application_name=application_name) if target.application_name == "wedsync" else target
