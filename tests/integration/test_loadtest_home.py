"""`wedsync loadtest run` against a real home's gateway."""

import json
import os
import signal
from collections.abc import Iterator
from xml.etree import ElementTree as Xml

import psycopg
import pytest

from support.commands import CommandLine, running_home
from support.events import eventually
from support.ports import free_port
from support.workers import held
from wedsync.process import is_alive

SMALL = ("--rate", "20", "--users", "10")


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory, engine: object) -> Iterator[CommandLine]:
    """A home with the demo season, up and running."""
    with held(running_home(tmp_path_factory.mktemp("load"))) as made:
        yield made


async def left_behind(commands: CommandLine) -> tuple[int, int]:
    """Businesses and weddings of load tests."""
    keys = await commands.json("keys")
    async with await psycopg.AsyncConnection.connect(keys["db_url"]) as connection:
        cursor = await connection.execute(
            "select (select count(*) from organizations where slug like 'wedsync-load-test%'),"
            " (select count(*) from couples where partner_one_name = 'Load')"
        )
        row = await cursor.fetchone()
    assert row is not None
    return row[0], row[1]


async def test_three_seconds_of_a_working_day(commands: CommandLine) -> None:
    page = commands.home.root.parent / "report.html"
    words = (
        "loadtest",
        "run",
        "--profile",
        "thousand",
        "--duration",
        "3",
        *SMALL,
        "--report",
        str(page),
        "--json",
    )
    ended = await commands.run(*words)
    answer = json.loads(ended.stdout)
    assert answer["errors"] == {}
    assert answer["requests"] == answer["planned"] > 30
    assert answer["success"] == 1
    assert set(answer["latency"]) == {"all", "dashboard", "couple_forms", "core_field", "guests", "timeline"}
    assert all(found["count"] > 0 and found["p95_ms"] > 0 for found in answer["latency"].values())
    kept = [check["ok"] for check in answer["checks"]]
    assert ended.exit_status == (0 if all(kept) else 3)
    assert answer["kept"] == all(kept)
    assert await left_behind(commands) == (0, 0)
    text = page.read_text()
    assert text.count("<svg") >= 4
    assert "<script" not in text
    assert "http" not in text.replace(f"http://127.0.0.1:{commands.port}", "")
    Xml.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])  # noqa: S314 - our own


@pytest.mark.parametrize("profile", ["burst", "inserts", "conflicts"])
async def test_every_query_of_the_profiles_is_one_that_the_data_api_answers(
    commands: CommandLine, profile: str
) -> None:
    ended = await commands.run("loadtest", "run", "--profile", profile, "--users", "5", "--json")
    answer = json.loads(ended.stdout)
    assert answer["errors"] == {}
    assert answer["success"] == 1
    assert await left_behind(commands) == (0, 0)


async def test_ctrl_c_gives_the_report_so_far_and_cleans_up(commands: CommandLine) -> None:
    pid = commands.spawn("loadtest", "run", "--profile", "thousand", *SMALL)
    said = commands.said("loadtest")

    def some_ended() -> bool:
        return said.exists() and "requests ended" in said.read_text()

    await eventually(some_ended)
    other = await commands.ok("loadtest", "run", "--users", "1", code=1)
    assert "a load test runs already" in other.stderr
    os.kill(pid, signal.SIGINT)
    await eventually(lambda: "promise is" in said.read_text())
    assert "dashboard" in said.read_text()
    await eventually(lambda: not is_alive(pid))
    assert await left_behind(commands) == (0, 0)


async def test_another_machine_is_refused_without_a_reason(commands: CommandLine) -> None:
    refused = await commands.ok("loadtest", "run", "--url", "http://10.255.255.1", code=1)
    assert "is another machine" in refused.stderr
    assert "--allow-remote REASON" in refused.stderr


async def test_a_gateway_that_is_not_there_is_told_before_the_run(commands: CommandLine) -> None:
    failed = await commands.ok("loadtest", "run", "--url", f"http://127.0.0.1:{free_port()}", code=1)
    assert "nothing answers at" in failed.stderr
    assert await left_behind(commands) == (0, 0)
