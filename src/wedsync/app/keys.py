"""The keys of a home: what a client needs to reach the database and the API."""

from dataclasses import dataclass
from datetime import UTC, datetime

from wedsync.app.platform import Platform
from wedsync.cluster import Secrets

_ISSUED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_EXPIRES_AT = datetime(2046, 1, 1, tzinfo=UTC)
SIGNING_KEY = "jwt_secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Addresses and keys, as `wedsync keys --json` prints them; all but the addresses are secrets."""

    api_url: str
    anon: str
    service_role: str
    db_url: str
    console_url: str


def ensure_keys(secrets: Secrets) -> None:
    """Make the signing key and the two API keys if they are not there."""
    signing_key = secrets.get_or_create(SIGNING_KEY)
    for role in ("anon", "service_role"):
        secrets.get_or_create(f"{role}_key", make=lambda role=role: _signed(role, signing_key))


def _signed(role: str, signing_key: str) -> str:
    import jwt  # noqa: PLC0415 - 0.1 s that only the first run should pay

    claims = {"iss": "wedsync", "role": role, "iat": _ISSUED_AT, "exp": _EXPIRES_AT}
    return jwt.encode(claims, signing_key, algorithm="HS256")


def read_keys(platform: Platform) -> Keys:
    """The keys of a home that was set up. Raises `SecretProblem` where one is missing."""
    gateway = platform.config.gateway
    base = f"http://{gateway.host}:{gateway.port}"
    return Keys(
        api_url=base,
        anon=platform.secrets.read("anon_key").strip(),
        service_role=platform.secrets.read("service_role_key").strip(),
        db_url=platform.public_target().dsn(with_password=True),
        console_url=f"{base}/admin",
    )


def webhook_secrets(secrets: Secrets, provider: str) -> list[str]:
    """What a payment provider signs with: the lines of `secrets/webhook_<provider>`; none where there is none."""
    name = f"webhook_{provider}"
    return secrets.read(name).split() if secrets.path(name).exists() else []


def new_sign_in_link(platform: Platform) -> str:
    """An address that signs its reader in to the console, once, within fifteen minutes."""
    from wedsync.web import create_sign_in_link  # noqa: PLC0415 - as above: the web framework

    token = create_sign_in_link(platform.state, platform.clock)
    return f"{read_keys(platform).console_url}/sign-in?token={token}"
