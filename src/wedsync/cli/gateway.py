"""`gateway`: the data API of any PostgreSQL, without a home."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wedsync.cli.output import Exit, command

if TYPE_CHECKING:
    from wedsync.api.callers import KeyFile, KeySet


def register(main: click.Group) -> None:
    """Add the commands of this module."""

    @click.option(
        "--db-url",
        metavar="DSN",
        required=True,
        envvar="WEDSYNC_DB_URL",
        help="The database, as libpq takes it: sockets, TLS and several hosts too; else $WEDSYNC_DB_URL.",
    )
    @click.option("--schemas", metavar="A,B", default="public", show_default=True, help="Schemas to show.")
    @click.option(
        "--anon-role", metavar="ROLE", default="", help="Role of calls without a token; else they are refused."
    )
    @click.option("--jwt-secret-file", metavar="FILE", type=Path, help="A secret, or a JWK or JWKS in JSON.")
    @click.option("--jwks", metavar="FILE", type=Path, help="Public keys; read again when it is replaced.")
    @click.option("--audience", metavar="AUD", default="", help="Who tokens must be for.")
    @click.option("--role-claim", metavar="PATH", default=".role", show_default=True, help="Where the role is.")
    @click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where to listen.")
    @click.option("--port", type=click.IntRange(1, 65535), metavar="N", default=3000, show_default=True)
    @click.option("--max-rows", type=click.IntRange(1), metavar="N", help="Rows of one answer at the most.")
    @click.option(
        "--db-pool", type=click.IntRange(1, 1000), metavar="N", default=10, show_default=True, help="Connections."
    )
    @click.option("--search-path", metavar="A,B", default="public", show_default=True, help="Schemas besides.")
    @click.option(
        "--aggregates/--no-aggregates",
        default=True,
        show_default=True,
        help="Let clients ask for sums and counts.",
    )
    @click.option("--tx-rollback", is_flag=True, help="Let clients try writes without keeping them.")
    @click.option("--timeout", type=click.FloatRange(0.01), metavar="S", help="For statements of any role.")
    @click.option("--cors-origins", metavar="A,B", default="*", show_default=True, help="Whose pages may call.")
    @click.option("--trusted-proxies", metavar="A,B", default="", help="Whose X-Forwarded-For is believed.")
    @click.option("--rate", type=click.FloatRange(0), metavar="N", default=0, help="A caller's requests a second.")
    async def gateway(**options: object) -> Exit:
        """Serve any PostgreSQL 15 or newer over HTTP, in PostgREST's dialect, below /rest/v1.

        Each request runs as the role that its token names; the role of --db-url only has to be allowed to
        become those. Nothing is written to the database or to disk.

        \b
        Example:
          openssl rand -base64 32 > jwt.secret
          wedsync gateway --db-url postgresql://authenticator@db.example/app?sslmode=verify-full \\
              --schemas api --anon-role web_anon --jwt-secret-file jwt.secret --port 3000
          curl http://127.0.0.1:3000/rest/v1/items?limit=5
        """
        return await _gateway(options)

    command(main, "gateway", answers=False, needs_home=False, serves=lambda _: True)(gateway)


async def _gateway(options: "dict[str, object]") -> Exit:
    from wedsync.app import until_signalled
    from wedsync.app.gateway import Served, serve_any
    from wedsync.config import GatewayConfig, StatementTimeouts
    from wedsync.database import ConnectionTarget
    from wedsync.log import configure_logging

    given = {name: value for name, value in options.items() if value is not None}
    configure_logging()
    timeouts = StatementTimeouts()
    if "timeout" in given:
        every = timedelta(seconds=float(str(given["timeout"])))
        timeouts = StatementTimeouts(anon=every, authenticated=every, service_role=every, others=every)
    settings = GatewayConfig(
        host=str(given["host"]),
        port=int(str(given["port"])),
        schemas=str(given["schemas"]),
        search_path=str(given["search_path"]),
        anon_role=str(given["anon_role"]),
        audience=str(given["audience"]),
        role_claim=str(given["role_claim"]),
        max_rows=int(str(given["max_rows"])) if "max_rows" in given else None,
        aggregates=bool(given["aggregates"]),
        rollback_allowed=bool(given["tx_rollback"]),
        cors_origins=_words(given["cors_origins"]),
        trusted_proxies=_words(given["trusted_proxies"]),
        rate_per_second=float(str(given["rate"])),
        rate_burst=max(1, round(float(str(given["rate"])) * 2)),
        at_once=0,
        statement_timeout=timeouts,
    )
    served = Served(
        target=ConnectionTarget.from_dsn(str(given["db_url"]), any_host=True),
        keys=_keys(options.get("jwt_secret_file"), options.get("jwks")),
        settings=settings,
        min_connections=int(str(given["db_pool"])),
        max_connections=int(str(given["db_pool"])),
        gives_up=True,
    )
    address = f"http://{settings.host}:{settings.port}/rest/v1/"
    await until_signalled(
        lambda: serve_any(
            served, on_listening=lambda: click.echo(f"listening at {address} for {served.target}", err=True)
        )
    )
    return Exit.DONE


def _words(text: object) -> str:
    return " ".join(str(text).replace(",", " ").split())


def _keys(secret_file: object, jwks: object) -> "KeySet | KeyFile":
    from wedsync.api.callers import KeyFile, KeySet
    from wedsync.errors import ConfigProblem

    secret = KeySet()
    if isinstance(secret_file, Path):
        try:
            secret = KeySet.from_secret(secret_file.read_bytes())
        except OSError as error:
            raise ConfigProblem(
                "the secret for tokens cannot be read",
                detail=str(error),
                hint="--jwt-secret-file names a readable file",
            ) from error
    return KeyFile(jwks, besides=secret) if isinstance(jwks, Path) else secret
