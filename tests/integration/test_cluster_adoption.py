"""Doctor on clusters that are not ours: plain initdb, as superuser and as an ordinary user; and on ours."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from time import time

import pytest

from support.ports import free_port
from wedsync.cluster import Capability, Engine, Server, capabilities, ensure_roles, examine, examine_home
from wedsync.config import Home
from wedsync.database import ConnectionTarget
from wedsync.errors import CannotConnect
from wedsync.process import run

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def plain(engine: Engine, tmp_path: Path) -> AsyncIterator[ConnectionTarget]:
    """A cluster as initdb makes it, with an ordinary user `app`; the target is its superuser."""
    data, port = tmp_path / "data", free_port()
    words = ["--auth=trust", "--username=postgres", "--no-sync", "--locale=C", "--encoding=UTF8"]
    made = await run([engine.program("initdb"), "-D", data, *words], deadline=MINUTE, env=engine.environment)
    made.check()
    options = f"-c port={port} -c unix_socket_directories= -c listen_addresses=127.0.0.1 -c fsync=on"
    control = [engine.program("pg_ctl"), "-D", data, "-w", "-l", tmp_path / "log"]
    (await run([*control, "-o", options, "start"], deadline=MINUTE, env=engine.environment)).check()
    superuser = ConnectionTarget(host="127.0.0.1", port=port, dbname="postgres", user="postgres")
    async with await superuser.connect() as connection:
        await connection.execute("create role app login")
    yield superuser
    await run([*control, "-m", "immediate", "stop"], deadline=MINUTE, env=engine.environment)


def as_app(superuser: ConnectionTarget) -> ConnectionTarget:
    return ConnectionTarget(host="127.0.0.1", port=superuser.port, dbname="postgres", user="app")


async def verdicts(target: ConnectionTarget) -> dict[str, Capability]:
    return {item.feature: item for item in capabilities(await examine(target))}


async def test_a_plain_cluster_as_superuser(plain: ConnectionTarget) -> None:
    found = await verdicts(plain)
    assert sorted(name for name, item in found.items() if not item.available) == [
        "change feed",
        "commit times",
        "damage is noticed",
        "encrypted connection",
        "point-in-time recovery",
        "statement statistics",
        "tenant isolation roles",
    ]
    assert found["physical backups"].available
    assert found["change feed"].because == "wal_level = replica"


async def test_a_plain_cluster_as_an_ordinary_user(plain: ConnectionTarget) -> None:
    found = await verdicts(as_app(plain))
    missing = {name for name, item in found.items() if not item.available}
    assert {"monitoring", "rights for backups", "restore points", "tenant isolation roles"} < missing
    assert {"schema and migrations", "physical backups", "point-in-time recovery"} < missing
    assert found["clocks agree"].available
    assert all(item.remedy for name, item in found.items() if name in missing)


async def test_the_statements_that_doctor_gives_an_ordinary_user_work(plain: ConnectionTarget) -> None:
    before = await verdicts(as_app(plain))
    statements = [
        line.replace("database …", "database postgres")
        for item in before.values()
        for line in item.remedy
        if line.startswith(("grant ", "create role ", "create extension", "alter role "))
    ]
    async with await plain.connect() as connection:
        for statement in statements:
            await connection.execute(statement.encode())
    after = await verdicts(as_app(plain))
    for feature in ("monitoring", "rights for backups", "restore points", "tenant isolation roles"):
        assert not before[feature].available
        assert after[feature].available, after[feature]
    assert after["schema and migrations"].available
    assert after["physical backups"].available


async def test_the_settings_that_doctor_gives_a_superuser_work(
    plain: ConnectionTarget, engine: Engine, tmp_path: Path
) -> None:
    before = await verdicts(plain)
    async with await plain.connect() as connection:
        for item in before.values():
            for line in item.remedy:
                if line.startswith(("alter system set", "create extension")) and " ssl " not in line:
                    await connection.execute(line.encode())
    options = f"-c port={plain.port} -c unix_socket_directories= -c listen_addresses=127.0.0.1"
    data = tmp_path / "data"
    control = [engine.program("pg_ctl"), "-D", data, "-w", "-l", tmp_path / "log", "-o", options]
    for words in (
        [*control, "-m", "fast", "stop"],
        [engine.program("pg_checksums"), "--enable", "-D", data],
        [*control, "start"],
    ):
        (await run(words, deadline=MINUTE, env=engine.environment)).check()
    after = await verdicts(plain)
    assert [name for name, item in after.items() if not item.available] == [
        "encrypted connection",
        "tenant isolation roles",
    ]


async def test_roles_and_database_can_be_made_in_an_adopted_cluster(
    plain: ConnectionTarget, cluster: Server
) -> None:
    await ensure_roles(plain, config=cluster.config, passwords={"wedsync_owner": "secret"})
    assert (await verdicts(plain))["tenant isolation roles"].available


async def test_ours_allows_everything(cluster: Server) -> None:
    home = await asyncio.to_thread(examine_home, cluster.home, engine=cluster.engine)
    facts = await examine(cluster.target(dbname="wedsync"), home=home)
    missing = [item for item in capabilities(facts) if not item.available]
    assert [item.feature for item in missing] == []


async def test_the_backup_role_of_ours_has_the_rights_for_backups(cluster: Server) -> None:
    found = await verdicts(cluster.target("wedsync_backup", "wedsync"))
    assert found["rights for backups"].available
    assert found["physical backups"].available


async def test_a_home_tells_of_open_files_a_clock_set_back_and_a_missing_certificate(home: Home) -> None:
    home.secrets.mkdir(mode=0o700)
    (home.secrets / "key").write_text("x")
    (home.secrets / "key").chmod(0o644)
    home.state_db.touch(mode=0o600)
    os.utime(home.state_db, (time() + 3600, time() + 3600))
    found = examine_home(home)
    assert found.open_files == (str(home.secrets / "key"),)
    assert found.newest_file_ahead > timedelta(minutes=59)
    assert found.certificate_lasts < timedelta(0)


async def test_a_server_that_is_not_there_says_so() -> None:
    nowhere = ConnectionTarget(host="127.0.0.1", port=free_port(), dbname="postgres", user="app")
    with pytest.raises(CannotConnect):
        await examine(nowhere)
