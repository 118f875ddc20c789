"""Throw-away clusters, made the product's own way."""

import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import msgspec

from support.ports import free_port
from wedsync.cluster import Engine, Secrets, Server, ensure_roles, initialise_cluster
from wedsync.config import Config, Home
from wedsync.process import run

ARCHIVE_NOWHERE = "/bin/true pgbackrest"
"""An archive command that keeps nothing; pgBackRest insists on the word."""
START = timedelta(seconds=60)
_SMALL = {"shared_buffers": "32MB", "max_wal_size": "256MB", "min_wal_size": "32MB"}


def small_config(**changes: object) -> Config:
    """Defaults, a free port, and a server that is small enough to have several."""
    config = Config()
    settings = _SMALL | dict(changes.pop("settings", None) or {})  # type: ignore[call-overload]
    cluster = msgspec.structs.replace(config.cluster, port=free_port(), settings=settings)
    gateway = msgspec.structs.replace(config.gateway, port=free_port())
    return msgspec.structs.replace(config, cluster=cluster, gateway=gateway, **changes)


def new_home(root: Path) -> Home:
    """An empty home."""
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o700)
    return Home(root)


async def make_cluster(engine: Engine, home: Home, config: Config) -> Server:
    """A running cluster with roles and database, made from nothing."""
    await initialise_cluster(engine=engine, home=home, config=config, durable=False)
    server = Server(engine=engine, home=home, config=config)
    await server.start(archive_command=ARCHIVE_NOWHERE, deadline=START)
    await ensure_roles(server.target(), config=config, passwords=role_passwords(home))
    return server


def role_passwords(home: Home) -> Mapping[str, str]:
    """The passwords of the roles that connect over TCP."""
    secrets = Secrets(home)
    return {role: secrets.get_or_create(f"{role}.password") for role in ("wedsync_owner", "wedsync_gateway")}


async def copy_cluster(engine: Engine, template: Home, home: Home, config: Config) -> Server:
    """A running cluster copied from a stopped one: the same data, system identifier and passwords."""
    for part in ("pgdata", "secrets", "tls"):
        # cp shares the blocks of the files where the file system is able to
        copied = await run(["cp", "-a", "--reflink=auto", template.root / part, home.root / part], deadline=START)
        copied.check()
    server = Server(engine=engine, home=home, config=config)
    await server.start(archive_command=ARCHIVE_NOWHERE, deadline=START)
    return server


async def remove_cluster(server: Server) -> None:
    """End a cluster, however it is, and remove its home."""
    await server.stop("immediate")
    shutil.rmtree(server.home.root, ignore_errors=True)
    remove_sockets(server.home)


def remove_sockets(home: Home) -> None:
    """Remove the sockets' directory where it is outside the home, its path being too long."""
    if home.sockets != home.run:
        shutil.rmtree(home.sockets, ignore_errors=True)
