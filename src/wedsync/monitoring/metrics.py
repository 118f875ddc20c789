"""The figures of a database and what they mean: connections, statements, storage."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wedsync.monitoring.issues import State

_CROWDED_PERCENT = 80
_SLOW_WARNING, _SLOW_CRITICAL = 10, 50
_CACHE_HIT_PERCENT = 95


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """Connections of clients to the whole server."""

    active: int
    idle: int
    max_connections: int
    utilization_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """How statements do, since the last sample; `None` where that is not known (`DatabaseMetrics.unknown`)."""

    avg_query_time_ms: float | None
    slow_queries_count: int | None
    """Statements that take more than a second on average."""
    queries_per_second: float | None
    cache_hit_ratio: float | None
    """Percent of the blocks that were found in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """A table with its indexes and TOAST; the number of rows is an estimate."""

    table_name: str
    size_mb: float
    row_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What the database takes on the disk."""

    total_size_mb: float
    table_sizes: tuple[TableSize, ...]
    growth_rate_mb_per_day: float | None
    """Over up to seven days; `None` before there is a day of samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseHealth:
    """What the figures mean."""

    status: State
    """`healthy`, `warning` or `critical`."""
    issues: tuple[str, ...]
    last_backup: datetime | None
    replication_lag_ms: float | None
    """Of the slowest standby; `None` where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseMetrics:
    """All figures of one moment."""

    connections: Connections
    performance: Performance
    storage: Storage
    health: DatabaseHealth
    unknown: Mapping[str, str]
    """Why a figure is `None`, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """One question to the database."""

    connection_healthy: bool
    latency_ms: float | None
    """The question and its answer, on a connection that was open."""
    error: str | None


def judge_metrics(connections: Connections, performance: Performance) -> tuple[State, tuple[str, ...]]:
    """How the database is by its figures, and every figure beyond its mark. What is not known is no issue."""
    found: list[tuple[State, str]] = []
    if connections.utilization_percent > _CROWDED_PERCENT:
        found.append(
            (
                State.WARNING,
                f"{connections.utilization_percent:g} % of {connections.max_connections} connections are in use"
                f" (more than {_CROWDED_PERCENT} %)",
            )
        )
    slow = performance.slow_queries_count or 0
    if slow > _SLOW_WARNING:
        found.append(
            (
                State.CRITICAL if slow > _SLOW_CRITICAL else State.WARNING,
                f"{slow} statements take more than a second on average",
            )
        )
    if performance.cache_hit_ratio is not None and performance.cache_hit_ratio < _CACHE_HIT_PERCENT:
        found.append(
            (
                State.WARNING,
                f"{performance.cache_hit_ratio:g} % of blocks were found in memory (less than"
                f" {_CACHE_HIT_PERCENT} %)",
            )
        )
    worst = max((state for state, _ in found), key=lambda state: state.rank, default=State.HEALTHY)
    return worst, tuple(words for _, words in found)


def read_metrics(row: Mapping[str, Any], tables: tuple[TableSize, ...]) -> DatabaseMetrics:
    """The metrics in the answers of the SQL functions (`sql/metrics.sql`, `summary`)."""
    told, spoken, size = row["connections"], row["performance"], row["size"]
    connections = Connections(
        active=told["active_connections"],
        idle=told["idle_connections"],
        max_connections=told["max_connections"],
        utilization_percent=told["utilization_percent"],
    )
    performance = Performance(
        avg_query_time_ms=spoken["avg_query_time"],
        slow_queries_count=spoken["slow_queries_count"],
        queries_per_second=spoken["queries_per_second"],
        cache_hit_ratio=spoken["cache_hit_ratio"],
    )
    status, issues = judge_metrics(connections, performance)
    last_backup = row["backup"]["last_backup"]
    return DatabaseMetrics(
        connections=connections,
        performance=performance,
        storage=Storage(
            total_size_mb=size["size_mb"],
            table_sizes=tables,
            growth_rate_mb_per_day=size["growth_rate_mb_per_day"],
        ),
        health=DatabaseHealth(
            status=status,
            issues=issues,
            last_backup=datetime.fromisoformat(last_backup) if last_backup else None,
            replication_lag_ms=None if row["lag_ms"] is None else round(row["lag_ms"], 1),
        ),
        unknown={**_reasons("performance", spoken["issues"]), **_reasons("storage", size["issues"])},
    )


def _reasons(group: str, issues: list[str]) -> dict[str, str]:
    """`name: reason` as the functions write it, by the whole name of the figure."""
    reasons: dict[str, str] = {}
    for issue in issues:
        name, _, reason = issue.partition(": ")
        reasons[group if " " in name else f"{group}.{name}"] = reason or issue
    return reasons
