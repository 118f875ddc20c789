"""Shadows of test databases."""

from wedsync.cluster import Server
from wedsync.cluster.roles import prepare_database
from wedsync.database import ConnectionTarget
from wedsync.migrations import ShadowMaker


def shadow_maker(server: Server, target: ConnectionTarget) -> ShadowMaker:
    """As the product makes them in a cluster of ours."""
    return ShadowMaker(
        admin=server.target("postgres", target.dbname),
        pg_dump=server.engine.program("pg_dump"),
        psql=server.engine.program("psql"),
        environment=server.engine.environment,
        prepare=prepare_database,
    )
