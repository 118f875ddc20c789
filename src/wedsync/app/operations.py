"""The operations API of a home, put together."""

from collections.abc import Callable

from starlette.types import ASGIApp

from wedsync.api.operations import (
    Administrators,
    AnyOperation,
    Entrance,
    PoolStatus,
    backup_operations,
    database_operations,
    drill_operations,
    migrate_operations,
    operations_api,
    overview_operations,
    preview_operations,
    recovery_operations,
    row_operations,
    timeline_operations,
)
from wedsync.app.background import Background
from wedsync.app.database_care import HomeCare
from wedsync.app.desks import HomeBackups, HomeOverview, HomeRecovery
from wedsync.app.drill_desk import HomeDrills
from wedsync.app.platform import Platform
from wedsync.app.preview_desk import HomePreviews
from wedsync.app.preview_doors import PreviewDoors
from wedsync.app.problems import as_problem
from wedsync.app.row_desk import HomeRows
from wedsync.app.schema_changes import HomeSchema
from wedsync.app.timeline import HomeTimeline
from wedsync.app.view import StatusReader
from wedsync.database.pipeline import PoolStatus as PipelinePoolStatus


def pool_status(pool: PipelinePoolStatus) -> PoolStatus:
    """The data API's connections, as health tells of them."""
    return PoolStatus(
        total_connections=pool.total_connections,
        idle_connections=pool.idle_connections,
        waiting_requests=pool.waiting_requests,
        max_connections=pool.max_connections,
    )


def all_operations(
    platform: Platform,
    *,
    reader: StatusReader,
    pool: Callable[[], PoolStatus] = PoolStatus,
    doors: PreviewDoors | None = None,
) -> list[AnyOperation]:
    """The whole table; nothing is connected to."""
    clock = platform.clock
    background = Background(platform)
    return [
        *database_operations(HomeCare(platform), pool=pool, clock=clock),
        *migrate_operations(HomeSchema(platform), clock=clock),
        *backup_operations(HomeBackups(platform, background)),
        *recovery_operations(HomeRecovery(platform, background)),
        *row_operations(HomeRows(platform)),
        *timeline_operations(HomeTimeline(platform)),
        *drill_operations(HomeDrills(platform, background)),
        *preview_operations(HomePreviews(platform, background, doors)),
        *overview_operations(HomeOverview(platform, reader)),
    ]


def home_operations(
    platform: Platform,
    *,
    administrators: Administrators,
    reader: StatusReader,
    pool: Callable[[], PoolStatus] = PoolStatus,
    doors: PreviewDoors | None = None,
) -> ASGIApp:
    """What is mounted at `/api`; `pool` says how the data API's connections stand, `doors` serve previews."""
    entrance = Entrance(
        administrators=administrators, state=platform.state, clock=platform.clock, as_problem=as_problem
    )
    return operations_api(
        all_operations(platform, reader=reader, pool=pool, doors=doors),
        entrance=entrance,
        below={} if doors is None else {"/recovery/previews/{id}/rest/v1": doors},
    )
