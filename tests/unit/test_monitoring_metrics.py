"""The figures of a database: what they mean, and how the functions' answers are read."""

from datetime import UTC, datetime
from typing import Any

import pytest

from wedsync.monitoring import Connections, Performance, State, judge_metrics
from wedsync.monitoring.metrics import read_metrics


def connections(percent: float) -> Connections:
    return Connections(active=1, idle=1, max_connections=100, utilization_percent=percent)


def performance(*, slow: int | None = 0, hit: float | None = 99.0) -> Performance:
    return Performance(avg_query_time_ms=1.0, slow_queries_count=slow, queries_per_second=1.0, cache_hit_ratio=hit)


@pytest.mark.parametrize(
    ("used", "slow", "hit", "status", "issues"),
    [
        (10, 0, 99.0, State.HEALTHY, 0),
        (80, 10, 95.0, State.HEALTHY, 0),
        (80.1, 0, 99.0, State.WARNING, 1),
        (10, 11, 99.0, State.WARNING, 1),
        (10, 50, 99.0, State.WARNING, 1),
        (10, 51, 99.0, State.CRITICAL, 1),
        (10, 0, 94.99, State.WARNING, 1),
        (90, 60, 10.0, State.CRITICAL, 3),
        (10, None, None, State.HEALTHY, 0),
    ],
)
def test_the_marks_are_those_of_the_specification(
    used: float, slow: int | None, hit: float | None, status: State, issues: int
) -> None:
    found, words = judge_metrics(connections(used), performance(slow=slow, hit=hit))
    assert found is status
    assert len(words) == issues


def row(**changes: Any) -> dict[str, Any]:
    return {
        "connections": {
            "active_connections": 2,
            "idle_connections": 3,
            "max_connections": 100,
            "utilization_percent": 5.0,
        },
        "performance": {
            "avg_query_time": None,
            "slow_queries_count": None,
            "queries_per_second": None,
            "cache_hit_ratio": 99.5,
            "issues": [
                "queries_per_second: one sample so far, a rate needs two",
                "no statistics of statements: it is not loaded",
            ],
        },
        "size": {
            "size_mb": 12.5,
            "growth_rate_mb_per_day": None,
            "issues": ["growth_rate_mb_per_day: needs a day"],
        },
        "backup": {"last_backup": "2026-11-21T10:00:00+00:00"},
        "lag_ms": None,
        **changes,
    }


def test_what_is_not_known_is_null_with_its_reason() -> None:
    found = read_metrics(row(), ())
    assert found.storage.growth_rate_mb_per_day is None
    assert found.unknown == {
        "performance.queries_per_second": "one sample so far, a rate needs two",
        "performance": "it is not loaded",
        "storage.growth_rate_mb_per_day": "needs a day",
    }
    assert found.health.last_backup == datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert found.health.replication_lag_ms is None


def test_a_database_without_a_backup_has_none() -> None:
    assert read_metrics(row(backup={"last_backup": None}, lag_ms=1.26), ()).health.last_backup is None
