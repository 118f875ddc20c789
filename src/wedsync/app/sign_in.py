"""Sign-in of a home: its keys, its post, its settings."""

from wedsync.api.auth import FilePost, SignIn, SmtpPost, auth_app
from wedsync.api.callers import Algorithm, SigningKey, SigningKeys, new_private_key
from wedsync.app.keys import SIGNING_KEY
from wedsync.app.platform import Platform
from wedsync.config import SigningMethod
from wedsync.database.pipeline import PipelinePool

_SECRET = "sign_in_secret"  # noqa: S105 - its name
_SMTP_PASSWORD = "smtp_password"  # noqa: S105 - its name


def home_signing_keys(platform: Platform) -> SigningKeys:
    """What signs the tokens of a home, and what else is believed: the pair before it, and the home's secret.

    The secret signed the API keys, so it holds beside a key pair.
    """
    secrets = platform.secrets
    symmetric = SigningKey.symmetric(secrets.get_or_create(SIGNING_KEY))
    method = platform.config.auth.signing
    if method is SigningMethod.HS256:
        return SigningKeys(symmetric)
    name = f"jwt_{method.value.lower()}"
    current = SigningKey.from_pem(secrets.get_or_create(name, lambda: new_private_key(Algorithm(method.value))))
    previous = f"{name}_previous"
    if secrets.path(previous).exists():
        return SigningKeys(current, (SigningKey.from_pem(secrets.read(previous)), symmetric))
    return SigningKeys(current, (symmetric,))


def home_sign_in(platform: Platform, pool: PipelinePool, keys: SigningKeys) -> SignIn:
    """Sign-in over the gateway's connections; letters go to the mail server, or to `mail/` in the home."""
    config, gateway = platform.config.auth, platform.config.gateway
    if config.mail.host is None:
        post = FilePost(platform.home.mail)
    else:
        password = platform.secrets.read(_SMTP_PASSWORD).strip() if config.mail.user is not None else None
        post = SmtpPost(config.mail, password)
    return auth_app(
        pool,
        keys=keys,
        config=config,
        api_url=f"http://{gateway.host}:{gateway.port}",
        secret=platform.secrets.get_or_create(_SECRET),
        post=post,
        clock=platform.clock,
    )
