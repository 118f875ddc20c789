"""The operations API of a home, put together."""

from collections.abc import Callable

from starlette.types import ASGIApp

from wedsync.api import (
    Administrators,
    AnyOperation,
    Entrance,
    PoolStatus,
    database_operations,
    migrate_operations,
    operations_api,
)
from wedsync.app.database_care import HomeCare
from wedsync.app.platform import Platform
from wedsync.app.problems import as_problem
from wedsync.app.schema_changes import HomeSchema


def all_operations(platform: Platform, *, pool: Callable[[], PoolStatus] = PoolStatus) -> list[AnyOperation]:
    """The whole table; nothing is connected to."""
    clock = platform.clock
    return [
        *database_operations(HomeCare(platform), pool=pool, clock=clock),
        *migrate_operations(HomeSchema(platform), clock=clock),
    ]


def home_operations(
    platform: Platform, *, administrators: Administrators, pool: Callable[[], PoolStatus] = PoolStatus
) -> ASGIApp:
    """What is mounted at `/api`; `pool` says how the data API's connections stand."""
    entrance = Entrance(
        administrators=administrators, state=platform.state, clock=platform.clock, as_problem=as_problem
    )
    return operations_api(all_operations(platform, pool=pool), entrance=entrance)
