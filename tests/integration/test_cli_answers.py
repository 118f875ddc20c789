"""Every command by the real command line, on one running home that all tests of this file share.

The tests run in their order: later ones stand on what earlier ones did.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from time import monotonic

import httpx
import jwt
import psycopg
import pytest

from support.commands import CommandLine, running_home
from support.events import eventually
from support.workers import held


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory, engine: object) -> Iterator[CommandLine]:
    """A home with the demo season, up and running."""
    with held(running_home(tmp_path_factory.mktemp("cli"))) as made:
        yield made


ME_AND_TLS = "select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()"


def has(answer: dict[str, object], *keys: str) -> None:
    assert set(keys) <= set(answer), f"missing: {set(keys) - set(answer)}"


async def test_a_new_home_is_healthy(commands: CommandLine) -> None:
    answer = await commands.json("status")
    has(answer, "state", "database", "last_backup_at", "recovery_window", "open_alerts")
    assert answer["state"] == "healthy", answer["sentence"]
    assert answer["open_alerts"] == 0
    window = answer["recovery_window"]
    assert datetime.fromisoformat(window["from"]) <= datetime.fromisoformat(window["to"])
    said = await commands.ok("status")
    assert said.stdout.startswith("All well: every second")
    assert said.stderr == ""


async def test_the_keys_work_as_they_are(commands: CommandLine) -> None:
    keys = await commands.json("keys")
    assert list(keys) == ["api_url", "anon", "service_role", "db_url", "console_url"]
    assert "sslmode=verify-full" in keys["db_url"]
    async with await psycopg.AsyncConnection.connect(keys["db_url"]) as connection:
        row = await (await connection.execute(ME_AND_TLS)).fetchone()
        assert row == ("wedsync_owner", True)
        couples = await (await connection.execute("select count(*) from couples")).fetchone()
        assert couples == (150,)
    signing_key = (commands.home.secrets / "jwt_secret").read_text()
    for role in ("anon", "service_role"):
        assert jwt.decode(keys[role], signing_key, algorithms=["HS256"])["role"] == role
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{keys['api_url']}/healthz")).status_code == 200
        assert (await client.get(f"{keys['api_url']}/readyz")).status_code == 200


async def test_a_sign_in_link_works_once(commands: CommandLine) -> None:
    link = (await commands.json("keys", "--sign-in"))["sign_in_url"]
    address, _, token = link.partition("?token=")
    async with httpx.AsyncClient(follow_redirects=True) as client:
        assert (await client.get(link)).status_code == 200
        page = await client.post(address, data={"token": token})
        assert page.status_code == 200
        assert "recovery window" in page.text.lower()
    async with httpx.AsyncClient(follow_redirects=True) as client:
        assert (await client.post(address, data={"token": token})).status_code == 401


async def test_up_again_says_what_runs_and_is_quick(commands: CommandLine) -> None:
    server = commands.pid("postgresql")
    began = monotonic()
    again = await commands.ok("up", "--detach")
    assert monotonic() - began < 15  # 0.7 s; 5 s are promised, on a machine that is not full of tests
    assert "running already" in again.stderr
    assert f"http://127.0.0.1:{commands.port}/admin/sign-in?token=" in again.stdout
    assert commands.pid("postgresql") == server


async def test_a_port_that_differs_from_the_homes_is_refused(commands: CommandLine) -> None:
    refused = await commands.ok("up", "--detach", "--port", "1234", code=2)
    assert f"gateway.port = {commands.port}, not 1234" in refused.stderr
    assert "from wedsync.toml" in refused.stderr


async def test_the_configuration_is_shown_with_its_origins(commands: CommandLine) -> None:
    rows = {row["name"]: row for row in await commands.json("config", "show")}
    assert rows["gateway.port"] == {"name": "gateway.port", "value": str(commands.port), "origin": "wedsync.toml"}
    assert rows["backup.recovery_window"]["origin"] == "default"
    shown = await commands.run("config", "show", WEDSYNC_BACKUP__RECOVERY_WINDOW="3d")
    assert "WEDSYNC_BACKUP__RECOVERY_WINDOW" in shown.stdout


async def test_doctor_finds_everything_on_a_cluster_of_ours(commands: CommandLine) -> None:
    ended = await commands.run("doctor", "--json")
    features = json.loads(ended.stdout)
    missing = {item["feature"] for item in features if not item["available"]}
    assert missing <= {"free space", "newer pgBackRest", "security corrections", "pgBackRest"}, missing
    assert ended.exit_status == (3 if missing else 0)


def fill(file: str, text: str) -> None:
    Path(file).write_text(text)


async def test_migrations_are_listed_planned_applied_and_made(commands: CommandLine, tmp_path: Path) -> None:
    current = await commands.json("migrate", "status")
    has(current, "applied", "pending", "problems")
    has(current["applied"][0], "id", "checksum", "applied_at", "took_ms", "by")
    assert (current["pending"], current["problems"]) == ([], [])
    assert (await commands.json("migrate", "plan"))["pending"] == []

    own = commands.home.root.parent / "migrations"
    own.mkdir()
    for shipped in (Path(__file__).parents[2] / "src/wedsync/migrations/versions").iterdir():
        (own / shipped.name).write_bytes(shipped.read_bytes())
    made = await commands.json("migrate", "new", "seating_plan", "--directory", str(own))
    fill(made["forward"], "create table seating_plan (id int primary key);\n")
    fill(made["rollback"], "drop table seating_plan;\n")
    pending = await commands.json("migrate", "status", "--directory", str(own), code=3)
    assert [item["name"] for item in pending["pending"]] == ["seating_plan"]
    planned = await commands.json("migrate", "plan", "--directory", str(own), code=3)
    assert "table-without-rls" in {finding["rule"] for finding in planned["lint"]["findings"]}
    assert "create table seating_plan" in planned["pending"][0]["statements"][0]["statement"]
    dry = await commands.json("migrate", "up", "--dry-run", "--directory", str(own))
    assert (dry["applied"], len(dry["would_apply"])) == ([], 1)
    # On a Saturday a run is refused without a reason.
    done = await commands.json("migrate", "up", "--directory", str(own), "--override", "the suite runs every day")
    assert [item["name"] for item in done["applied"]] == ["seating_plan"]
    missing = await commands.json("migrate", "status", code=3)
    assert missing["problems"]


async def test_backups_are_taken_listed_held_released_and_expired(commands: CommandLine) -> None:
    taken = await commands.json("backup", "run", "--type", "incr")
    has(taken, "label", "type", "started_at", "finished_at", "took_s", "database_bytes", "repo_bytes", "repos")
    assert taken["type"] == "incr"
    assert [item["repo"] for item in taken["repos"]] == [1, 2]
    await commands.ok("backup", "run", "--repo", "3", code=2)

    listed = (await commands.json("backup", "list"))["backups"]
    assert {"full", "incr"} == {item["type"] for item in listed}
    assert taken["label"] in (await commands.ok("backup", "list")).stdout

    await commands.ok("backup", "hold", taken["label"], "--reason", "dispute 4711")
    held = {item["label"]: item["held"] for item in (await commands.json("backup", "list"))["backups"]}
    assert held[taken["label"]] == "dispute 4711"
    released = await commands.json("backup", "hold", taken["label"], "--release")
    assert released["held"] is None
    await commands.ok("backup", "hold", taken["label"], code=2)
    unknown = await commands.ok("backup", "hold", "20200101-000000F", "--reason", "x", "--json", code=1)
    assert json.loads(unknown.stdout)["error"]["code"] == "WS308"

    assert await commands.json("backup", "expire") == {"would_remove": []}
    assert "0 backups removed" in (await commands.ok("backup", "expire", "--yes")).stdout
    kept = await commands.ok("backup", "expire", "--label", taken["label"], "--repo", "1", "--yes", code=1)
    assert "stays" in kept.stderr


async def test_whole_repositories_pass_and_a_flipped_bit_does_not(commands: CommandLine) -> None:
    whole = await commands.json("backup", "verify")
    assert whole["ok"] is True
    assert whole["checked"] > 100
    assert whole["problems"] == []
    labels = [item["label"] for item in (await commands.json("backup", "list"))["backups"] if item["repo"] == 2]
    victim = max(
        (commands.home.root / "repo2/backup/wedsync" / labels[-1]).rglob("*.zst"),
        key=lambda path: path.stat().st_size,
    )
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    try:
        broken = await commands.json("backup", "verify", "--repo", "2", code=3)
    finally:
        content[len(content) // 2] ^= 1
        victim.write_bytes(content)
    assert broken["ok"] is False
    has(broken["problems"][0], "repo", "label", "file", "problem")
    assert (broken["problems"][0]["repo"], broken["problems"][0]["label"]) == (2, labels[-1])


async def test_demo_live_writes_and_keeps_a_ledger(commands: CommandLine, tmp_path: Path) -> None:
    ledger = tmp_path / "commits.txt"
    answer = await commands.json("demo", "live", "--for", "1.5", "--rate", "40", "--ledger", str(ledger))
    has(answer, "committed", "unknown", "failed", "newest_commit_at")
    assert answer["committed"] > 10
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert len([line for line in lines if line["outcome"] == "committed"]) == answer["committed"]


async def test_demo_load_again_changes_nothing(commands: CommandLine) -> None:
    assert (await commands.json("demo", "load"))["already"] is True


async def test_a_recovery_goes_back_and_can_be_undone(commands: CommandLine) -> None:
    db_url = (await commands.json("keys"))["db_url"]

    async def rows(statement: str) -> list[tuple[object, ...]]:
        async with await psycopg.AsyncConnection.connect(db_url, autocommit=True) as connection:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    await rows("create table marks (mark text, at timestamptz default clock_timestamp())")
    await rows("insert into marks values ('before')")
    moment = str((await rows("select clock_timestamp()"))[0][0])
    await rows("insert into marks values ('after')")

    window = await commands.json("recover", "window")
    has(window, "windows", "backups", "gaps")
    has(window["windows"][0], "from", "to")

    plan = await commands.json("recover", "plan", "--to", moment)
    has(plan, "lost", "forecast_s")
    has(plan["lost"], "commits", "from", "to")
    assert plan["lost"]["commits"] >= 1

    refused = await commands.ok("recover", "run", "--to", moment, code=2)
    assert "--yes" in refused.stderr
    assert await rows("select mark from marks order by at") == [("before",), ("after",)]

    done = await commands.json("recover", "run", "--to", moment, "--yes")
    has(done, "restored_to", "last_commit_at", "took_s", "forecast_s", "undo_label")
    assert datetime.fromisoformat(done["restored_to"]) == datetime.fromisoformat(moment)
    assert await rows("select mark from marks") == [("before",)]
    assert commands.pid("supervisor")

    undone = await commands.json("recover", "run", "--undo", "--yes")
    has(undone, "restored_to", "last_commit_at", "took_s", "forecast_s", "undo_label")
    assert await rows("select mark from marks order by at") == [("before",), ("after",)]


async def test_impossible_moments_are_refused_and_say_why(commands: CommandLine) -> None:
    malformed = await commands.ok("recover", "plan", "--to", "yesterday-ish", "--json", code=2)
    assert json.loads(malformed.stdout)["error"]["hint"]
    early = await commands.ok("recover", "plan", "--to", "2001-01-01 00:00+00:00", "--json", code=1)
    assert json.loads(early.stdout)["error"]["code"] == "WS401"
    await commands.ok("recover", "run", "--yes", code=2)


async def test_down_ends_all_and_up_brings_all_back(commands: CommandLine) -> None:
    stopped = await commands.json("down")
    assert set(stopped["stopped"]) == {"gateway", "keeper", "supervisor", "PostgreSQL"}
    assert [commands.pid(name) for name in ("postgresql", "keeper", "gateway", "supervisor")] == [None] * 4
    assert await commands.json("down") == {"stopped": []}
    answer = await commands.json("status", code=3)
    assert answer["state"] == "down"
    assert (await commands.ok("migrate", "status", code=1)).stdout == ""

    again = await commands.up()
    assert "first backup" not in again.stderr
    assert "load the demo" not in again.stderr
    assert "started" in again.stderr
    await eventually(lambda: commands.pid("keeper"), what="the keeper runs")
    assert "migrations are pending" not in again.stderr
