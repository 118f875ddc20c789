"""The operations API on a real home: what it answers is what the command line does."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from support.commands import PYTHON, SOURCE
from support.events import eventually
from support.operations import bearer, operations_of
from support.recoveries import Protected
from wedsync.app.queued_change import QueuedChange
from wedsync.process import run

_UNDER_WAY = {"running"}


@pytest.fixture
async def client(protected: Protected, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    for name in [name for name in os.environ if name.startswith(("WEDSYNC_", "PG"))]:
        monkeypatch.delenv(name)  # of the tests, not of the processes that a gateway starts
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    async with operations_of(protected.platform) as made:
        yield made


async def ended(client: httpx.AsyncClient, answer: httpx.Response) -> dict[str, Any]:
    """The run behind a 202, once it has ended."""
    assert answer.status_code == 202, answer.text
    address = answer.headers["Location"].removeprefix("/api")

    async def look() -> dict[str, Any] | None:
        found = (await client.get(address)).json()
        return found if found["state"] not in _UNDER_WAY else None

    found = await eventually(look, within_s=120, what=f"{address} ends")
    assert found is not None
    return found


async def command_line_says(protected: Protected, *words: str) -> dict[str, Any]:
    """What a command answers with `--json`."""
    command = [*PYTHON, *words, "--json", "--home", protected.home.root]
    done = await run(command, deadline=timedelta(minutes=1), cwd=protected.home.root)
    assert done.exit_status in {0, 3}, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def detail_keys(value: object) -> object:
    """The keys of an answer, without its values."""
    if isinstance(value, dict):
        return {key: detail_keys(inner) for key, inner in value.items()}
    return [detail_keys(value[0])] if isinstance(value, list) and value else None


async def test_health_and_metrics_have_the_keys_of_the_specification(client: httpx.AsyncClient) -> None:
    health = await client.get("/database/health")
    assert health.status_code == 200, health.text
    told = health.json()
    assert set(told) == {"status", "timestamp", "database", "connection_pool", "metrics", "rpo", "rto"}
    assert told["status"] == "healthy"
    assert set(told["database"]) == {"connection_healthy", "latency_ms", "error"}
    assert told["database"]["latency_ms"] > 0
    assert set(told["metrics"]) == {"connections", "performance", "health"}

    metrics = (await client.get("/database/metrics")).json()
    assert set(metrics) == {"success", "data", "timestamp"}
    data = metrics["data"]
    assert set(data["connections"]) == {"active", "idle", "max_connections", "utilization_percent"}
    assert set(data["performance"]) == {
        "avg_query_time_ms", "slow_queries_count", "queries_per_second", "cache_hit_ratio",
    }  # fmt: skip
    assert set(data["storage"]) == {"total_size_mb", "table_sizes", "growth_rate_mb_per_day"}
    assert set(data["health"]) == {"status", "issues", "last_backup", "replication_lag_ms"}
    assert data["connections"]["max_connections"] > 0
    assert {"table_name", "size_mb", "row_count"} == set(data["storage"]["table_sizes"][0])
    assert data["storage"]["growth_rate_mb_per_day"] is None
    assert "storage.growth_rate_mb_per_day" in data["unknown"]


async def test_growth_comes_from_history_where_there_is_some(
    client: httpx.AsyncClient, protected: Protected
) -> None:
    async with await protected.platform.owner_target.connect() as connection:
        await connection.execute(
            "insert into ops.samples"
            " (at, server_started_at, blocks_hit, blocks_read, rows_changed, database_bytes)"
            " values (now() - interval '2 days', now() - interval '3 days', 0, 0, 0,"
            " pg_database_size(current_database()) - 20 * 1048576)"
        )
    storage = (await client.get("/database/metrics")).json()["data"]["storage"]
    assert storage["growth_rate_mb_per_day"] == pytest.approx(10, abs=1)


async def test_without_a_database_health_is_503_and_says_no_path(
    client: httpx.AsyncClient, protected: Protected
) -> None:
    await protected.platform.server.stop()
    health = await client.get("/database/health")
    assert health.status_code == 503
    told = health.json()
    assert told["status"] == "unhealthy"
    assert told["database"]["connection_healthy"] is False
    assert told["database"]["error"]
    assert told["metrics"] == {"connections": None, "performance": None, "health": None}
    metrics = await client.get("/database/metrics")
    assert metrics.status_code == 503
    assert metrics.json()["errors"][0]["code"].startswith("WS2")
    for answer in (health, metrics):
        assert str(protected.home.root) not in answer.text
        assert str(protected.home.sockets) not in answer.text
    assert (await client.get("/status")).json()["state"] == "down"
    assert (await client.get("/audit")).status_code == 200


async def test_tables_are_looked_after_by_function_and_queue(
    client: httpx.AsyncClient, protected: Protected
) -> None:
    worker = asyncio.create_task(protected.platform.job_service(migrate=QueuedChange(protected.platform)).run())
    try:
        for action, table in (
            ("analyze_table", "couples"),
            ("vacuum_analyze", "couples"),
            ("reindex_table", "guests"),
            ("update_statistics", None),
        ):
            answer = await client.post("/database/optimize", json={"action": action, "table_name": table})
            assert answer.status_code == 200, answer.text
            told = answer.json()
            assert {"success", "action", "table_name", "result", "timestamp"} <= set(told)
            assert told["success"] is True
            assert told["action"] == action
            if told["job"] is not None:
                job = (await client.get(told["job"].removeprefix("/api"))).json()
                assert (job["status"], job["error"]) == ("done", None)
    finally:
        worker.cancel()
    refused = await client.post("/database/optimize", json={"action": "analyze_table", "table_name": "pg_class"})
    assert refused.status_code == 404


async def test_a_job_that_nobody_works_goes_on_behind_a_202(
    client: httpx.AsyncClient, protected: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wedsync.app.database_care._JOB_MAY_TAKE", timedelta(seconds=0.5))
    answer = await client.post("/database/optimize", json={"action": "reindex_table", "table_name": "couples"})
    assert answer.status_code == 202
    job = (await client.get(answer.headers["Location"].removeprefix("/api"))).json()
    assert job["status"] == "queued"


@pytest.mark.parametrize(
    "body",
    [
        {"action": "drop_table", "table_name": "couples"},
        {"action": "reindex_table"},
        {"action": "reindex_table", "table_name": "couples", "force": True},
        {"action": "reindex_table", "table_name": ""},
    ],
)
async def test_an_order_that_is_none_is_400(client: httpx.AsyncClient, body: dict[str, object]) -> None:
    assert (await client.post("/database/optimize", json=body)).status_code == 400


async def test_a_backup_is_taken_in_a_process_of_its_own(client: httpx.AsyncClient, protected: Protected) -> None:
    before = (await client.get("/backups")).json()
    assert before["schedule"]["next_run_unknown"] == "backups are switched off: backup.enabled"
    began = await client.post("/backups", json={"type": "incr", "repo": 1})
    again = await client.post("/backups", json={"type": "incr", "repo": 1})
    assert again.status_code == 409
    taken = await ended(client, began)
    assert taken["state"] == "done", taken
    result = taken["result"]
    assert (result["type"], [item["repo"] for item in result["repos"]]) == ("incr", [1])
    after = (await client.get("/backups", params={"repo": 1, "type": "incr"})).json()
    assert [item["label"] for item in after["backups"]] == [result["label"]]
    assert len((await client.get("/backups")).json()["backups"]) == len(before["backups"]) + 1
    history = (await client.get("/backups/runs")).json()["history"]
    assert (history[0]["label"], history[0]["reason"]) == (result["label"], "operator")
    actions = [item["action"] for item in (await client.get("/audit")).json()["actions"]]
    assert {"backup run", "api backup run"} <= set(actions)


async def test_a_run_whose_process_was_killed_has_failed(client: httpx.AsyncClient, protected: Protected) -> None:
    began = await client.post("/backups", json={"type": "full", "repo": 1})
    row = protected.platform.state.row("select pid from operation_runs")
    assert row is not None
    os.kill(row["pid"], signal.SIGKILL)
    failed = await ended(client, began)
    assert failed["state"] == "failed"
    assert failed["error"]["message"] == "its process ended in the middle"
    assert (await ended(client, await client.post("/backups", json={"type": "incr", "repo": 1})))[
        "state"
    ] == "done"


async def test_hold_release_expire_and_verify_are_those_of_the_command_line(
    client: httpx.AsyncClient, protected: Protected
) -> None:
    listed = (await client.get("/backups", params={"repo": 1})).json()["backups"]
    assert listed
    label = listed[0]["label"]
    held = await client.post("/backups/hold", json={"repo": 1, "label": label, "reason": "dispute 4711"})
    assert held.json() == {"repo": 1, "label": label, "held": "dispute 4711"}
    assert [item["label"] for item in (await client.get("/backups", params={"held": True})).json()["backups"]] == [
        label
    ]
    expire = {"repo": 1, "label": label, "remove": True}
    assert (await client.post("/backups/expire", json=expire)).status_code == 409
    assert (await client.post("/backups/release", json={"repo": 1, "label": label})).json()["held"] is None
    assert (await client.post("/backups/expire", json={})).json() == {"would_remove": []}
    unknown = {"repo": 1, "label": "20200101-000000F", "reason": "x"}
    assert (await client.post("/backups/hold", json=unknown)).status_code == 404
    assert (await client.post("/backups", json={"repo": 7})).status_code == 400
    verified = await ended(client, await client.post("/backups/verify", json={"repo": 1}))
    assert verified["result"]["ok"] is True
    assert verified["result"]["checked"] > 0


async def test_what_is_listed_is_what_the_command_line_lists(
    client: httpx.AsyncClient, protected: Protected
) -> None:
    at = (await protected.moment()).isoformat()
    await protected.commit()
    for command, method, address, body in (
        (["backup", "list"], "GET", "/backups", None),
        (["recover", "window"], "GET", "/recovery/window", None),
        (["recover", "plan", "--to", at], "POST", "/recovery/plan", {"to": at}),
        (["status"], "GET", "/status", None),
    ):
        said = await command_line_says(protected, *command)
        told = (await client.request(method, address, json=body)).json()
        missing = set(said) - set(told)
        assert not missing, f"{address} has no {missing}"
        if command[0] != "status":
            same = {key for key in said if key not in {"forecast_s", "forecast_range_s", "wal"}}
            assert {key: detail_keys(told[key]) for key in same} == {key: detail_keys(said[key]) for key in same}


async def test_the_whole_database_goes_back_and_forth(client: httpx.AsyncClient, protected: Protected) -> None:
    kept = await protected.commit()
    at = (await protected.moment()).isoformat()
    await protected.commit()
    stanza = (await client.get("/recovery/window")).json()["stanza"]
    plan = (await client.post("/recovery/plan", json={"to": at})).json()
    assert plan["lost"]["commits"] >= 1

    for confirm in ({"stanza": "other", "to": at}, {"stanza": stanza, "to": "latest"}):
        refused = await client.post("/recovery", json={"to": at, "confirm": confirm})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["code"] == "WS844"
    assert await protected.rows() == [kept, kept + 1]

    order = {"to": at, "confirm": {"stanza": stanza, "to": at}}
    began = await client.post("/recovery", json=order, headers={"Idempotency-Key": "back"})
    assert (
        await client.post("/recovery", json=order, headers={"Idempotency-Key": "back"})
    ).content == began.content
    assert (await client.post("/recovery", json=order)).status_code == 409
    done = await ended(client, began)
    assert done["state"] == "done", done
    assert await protected.rows() == [kept]

    undo = {"confirm": {"stanza": stanza, "to": "undo"}}
    assert (await ended(client, await client.post("/recovery/undo", json=undo)))["state"] == "done"
    assert await protected.rows() == [kept, kept + 1]
    told = (await client.get("/recovery/runs")).json()
    assert [item["kind"] for item in told["runs"]] == ["undo", "recovery"]
    assert [it["outcome"] for it in told["recoveries"]] == ["done", "undone"]


async def test_moments_that_cannot_be_restored_are_refused(client: httpx.AsyncClient) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert (await client.post("/recovery/plan", json={"to": ahead})).status_code == 409
    assert (await client.post("/recovery/plan", json={"to": "2020-01-01T00:00:00Z"})).status_code == 409
    assert (await client.post("/recovery/plan", json={"to": "2026-06-14 11:05"})).status_code == 400
    undo = {"confirm": {"stanza": "wedsync", "to": "undo"}}
    assert (await client.post("/recovery/undo", json=undo)).status_code == 409


async def test_the_trail_is_read_page_by_page(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await client.post("/recovery/plan", json={"to": f"2020-01-0{number + 1}T00:00:00Z"})
    seen: list[str] = []
    address: str | None = "/audit?limit=2&containing=recover%20plan"
    while address is not None:
        page = (await client.get(address.removeprefix("/api"))).json()
        assert len(page["actions"]) <= 2
        seen += [item["detail"]["to"] for item in page["actions"]]
        address = page["next"]
    assert seen == [f"2020-01-0{number}T00:00:00Z" for number in (5, 4, 3, 2, 1)]


async def test_nothing_is_told_to_others(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    asked = 0
    for path, methods in document["paths"].items():
        for method in methods:
            for headers, status in ((bearer(role="authenticated"), 403), ({"Authorization": "Bearer x"}, 401)):
                answer = await client.request(method.upper(), path.replace("{id}", "1"), headers=headers)
                assert answer.status_code == status, f"{method} {path}"
                asked += 1
    assert asked >= 2 * 18
