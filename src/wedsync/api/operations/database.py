"""`/api/database`: health, metrics, maintenance, and how its jobs stand."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol

import msgspec

from wedsync.api.operations.operation import Answer, AnyOperation, Call, Nowhere, Operation
from wedsync.clock import Clock
from wedsync.monitoring import Connections, DatabaseHealth, DatabaseMetrics, Performance, Ping, Rpo, Rto, State
from wedsync.words import without_paths


class PoolStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's own connections; `null` where this process has no pool."""

    total_connections: int | None = None
    idle_connections: int | None = None
    waiting_requests: int | None = None
    max_connections: int | None = None


class HealthFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured; `null` where the database does not answer."""

    connections: Connections | None
    performance: Performance | None
    health: DatabaseHealth | None


class Healthy(StrEnum):
    """Whether the database can be used."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class HealthAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How the database is."""

    status: Healthy
    timestamp: datetime
    database: Ping
    connection_pool: PoolStatus
    metrics: HealthFigures
    rpo: Rpo | None = None
    """What would be lost if the machine went now; `null`: it was never measured."""
    rto: Rto | None = None
    """How long it would take to be back; `null`: nothing is known of that."""


class MetricsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the database."""

    success: bool
    data: DatabaseMetrics
    timestamp: datetime


class OptimizeAction(StrEnum):
    """What can be done to a table; `update_statistics` without one: to all."""

    ANALYZE_TABLE = "analyze_table"
    REINDEX_TABLE = "reindex_table"
    UPDATE_STATISTICS = "update_statistics"
    VACUUM_ANALYZE = "vacuum_analyze"


class OptimizeOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done."""

    action: OptimizeAction
    table_name: Annotated[str, msgspec.Meta(min_length=1, max_length=130)] | None = None


class Optimized(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; with 202 it goes on, and `job` is where its end can be read."""

    success: bool
    action: OptimizeAction
    table_name: str | None
    result: Mapping[str, Any]
    timestamp: datetime
    job: str | None = None


class JobPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which job."""

    id: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class JobAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How a queued job stands."""

    id: int
    kind: str
    target: str
    status: str
    """`queued`, `running`, `done`, `failed` or `refused`."""
    attempts: int
    requested_by: str
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result: Any
    error: str | None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in {"done", "failed", "refused"}


class DatabaseCare(Protocol):
    """What these operations ask of the platform."""

    async def health(self) -> tuple[Ping, DatabaseMetrics | None]: ...

    async def if_it_broke(self) -> tuple[Rpo | None, Rto | None]:
        """What would be lost, and how long it would take: known while the database is away."""
        ...

    async def metrics(self) -> DatabaseMetrics: ...

    async def optimize(self, order: OptimizeOrder, *, by: str) -> Mapping[str, Any]:
        """The answer of the SQL function; one with a `job_id` was queued."""
        ...

    async def job(self, number: int) -> JobAnswer:
        """Raises `NotThere`."""
        ...

    async def job_end(self, number: int) -> JobAnswer:
        """The same, as soon as it has ended, or after some seconds as it stands then."""
        ...


def database_operations(
    care: DatabaseCare, *, pool: Callable[[], PoolStatus], clock: Clock
) -> Sequence[AnyOperation]:
    """Health, metrics, optimize, jobs."""

    async def health(_: Call[Nowhere, None]) -> Answer:
        ping, figures = await care.health()
        rpo, rto = await care.if_it_broke()
        well = ping.connection_healthy and figures is not None and figures.health.status is not State.CRITICAL
        error = without_paths(ping.error) if ping.error is not None else None
        return Answer(
            content=HealthAnswer(
                status=Healthy.HEALTHY if well else Healthy.UNHEALTHY,
                timestamp=clock.now(),
                database=Ping(connection_healthy=ping.connection_healthy, latency_ms=ping.latency_ms, error=error),
                connection_pool=pool(),
                metrics=HealthFigures(
                    connections=figures.connections if figures else None,
                    performance=figures.performance if figures else None,
                    health=figures.health if figures else None,
                ),
                rpo=rpo,
                rto=rto,
            ),
            status=200 if well else 503,
        )

    async def metrics(_: Call[Nowhere, None]) -> Answer:
        found = await care.metrics()
        return Answer(content=MetricsAnswer(success=True, data=found, timestamp=clock.now()))

    async def optimize(call: Call[Nowhere, OptimizeOrder]) -> Answer:
        order = call.body
        told = await care.optimize(order, by=call.who)
        job: int | None = told.get("job_id")
        ended = await care.job_end(job) if job is not None else None
        result = {**told, **({"status": ended.status, "error": ended.error} if ended else {})}
        if ended is not None and ended.has_ended:
            result["result"] = ended.result
        return Answer(
            content=Optimized(
                success=ended is None or not ended.has_ended or ended.status == "done",
                action=order.action,
                table_name=order.table_name,
                result=result,
                timestamp=clock.now(),
                job=f"/api/database/jobs/{job}" if job is not None else None,
            ),
            status=202 if ended is not None and not ended.has_ended else 200,
            headers={"Location": f"/api/database/jobs/{job}"} if job is not None else {},
        )

    async def job(call: Call[JobPlace, None]) -> Answer:
        return Answer(content=await care.job(call.place.id))

    return (
        Operation(
            method="GET",
            path="/database/health",
            name="database_health",
            action="database health",
            summary="Whether the database can be used, how fast it answers, how its figures are.",
            place=Nowhere,
            body=type(None),
            answers={200: HealthAnswer, 503: HealthAnswer},
            carry_out=health,
        ),
        Operation(
            method="GET",
            path="/database/metrics",
            name="database_metrics",
            action="database metrics",
            summary="Connections, statements, storage, and what they mean.",
            place=Nowhere,
            body=type(None),
            answers={200: MetricsAnswer},
            carry_out=metrics,
        ),
        Operation(
            method="POST",
            path="/database/optimize",
            name="optimize_database",
            action="optimize",
            summary="Analyze, vacuum or reindex a table beside its use.",
            place=Nowhere,
            body=OptimizeOrder,
            answers={200: Optimized, 202: Optimized},
            refusals={404: "There is no such table."},
            carry_out=optimize,
            sensitive=True,
        ),
        Operation(
            method="GET",
            path="/database/jobs/{id}",
            name="database_job",
            action="database job",
            summary="How a queued job stands.",
            place=JobPlace,
            body=type(None),
            answers={200: JobAnswer},
            refusals={404: "There is no such job."},
            carry_out=job,
        ),
    )
