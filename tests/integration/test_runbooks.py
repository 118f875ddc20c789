"""Runbooks do what they say: an operator who follows one, step by step, gets what it promises."""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support.commands import SOURCE
from support.events import eventually
from support.recoveries import Protected, sheltering
from support.regions import S3Store, use_region
from support.runbooks import HOW_TO, MARK, Runbook, read_runbook
from wedsync.app import gather_kit, seal_kit, stop_everything
from wedsync.backup import BackupKind
from wedsync.demo import load
from wedsync.migrations import SHIPPED, up
from wedsync.process import run

RUNBOOKS = sorted(path.stem for path in HOW_TO.glob("*.md") if MARK in path.read_text(encoding="utf-8"))
PASSPHRASE = "correct horse battery staple"


def environment(own: Protected) -> Mapping[str, str]:
    """What the operator's shell knows."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WEDSYNC_", "PG"))}
    return kept | {"WEDSYNC_HOME": str(own.home.root), "PYTHONPATH": str(SOURCE)}


@asynccontextmanager
async def operated(own: Protected) -> AsyncIterator[Protected]:
    """The home in an operator's hands; what they started is stopped afterwards."""
    try:
        yield own
    finally:
        own.reopen()
        await stop_everything(own.platform)


def lose_machine(own: Protected) -> None:
    """Everything below the home is gone (but programs that the test lent it)."""
    for path in own.home.root.iterdir():
        if path != own.home.engine:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def open_runbook(name: str, own: Protected, place: Path, **yours: str) -> Runbook:
    return Runbook(name=name, place=place, environment=environment(own), yours=yours)


def move_second_region(own: Protected, far: Path) -> None:
    """Put repo2 out of the home, as an operator does who means it."""
    shutil.move(own.home.root / "repo2", far)
    with own.home.config_file.open("a") as file:
        file.write(f'\n[backup.repo2]\npath = "{far}"\n')
    own.reopen()
    own.platform.pgbackrest.write_config()  # as a restart of the keeper does


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_runbook_is_followed_by_a_test_under_each_of_its_headings(name: str) -> None:
    followed = set(re.findall(r'\.follow\(\s*"([^"]+)"', Path(__file__).read_text(encoding="utf-8")))
    assert f'open_runbook("{name}"' in Path(__file__).read_text(encoding="utf-8")
    assert {step.heading for step in read_runbook(name)} <= followed


async def test_a_lost_machine_comes_back_from_kit_and_second_region(protected: Protected, tmp_path: Path) -> None:
    place = tmp_path / "operator"
    move_second_region(protected, tmp_path / "far")
    book = open_runbook("total-loss", protected, place)
    (place / "passphrase.txt").write_text(f"{PASSPHRASE}\n")
    async with operated(protected):
        await book.follow("Before it happens")
        numbers = [await protected.commit() for _ in range(3)]
        await protected.archive()
        api_key = (protected.home.secrets / "service_role_key").read_text()
        await protected.kill()
        protected.platform.state.close()
        lose_machine(protected)

        await book.follow("The machine is gone")

        protected.reopen()
        assert await protected.rows() == numbers
        assert (protected.home.secrets / "service_role_key").read_text() == api_key


async def test_a_deleted_data_directory_and_then_a_lost_repository(protected: Protected, tmp_path: Path) -> None:
    book = open_runbook("total-loss", protected, tmp_path / "operator")
    async with sheltering(protected):  # the keeper is at work
        numbers = [await protected.commit() for _ in range(3)]
        await eventually(lambda: any(protected.home.sheltered.glob("*")), what="WAL is sheltered")
        shutil.rmtree(protected.home.pgdata)
        await book.follow("The data directory was deleted, also in part")
    assert await protected.rows() == numbers

    shutil.rmtree(protected.home.root / "repo1")
    await book.follow("A repository is gone")


async def lose_key(own: Protected, place: Path) -> Runbook:
    """A home whose first repository cannot be read, and the runbook for it."""
    book = open_runbook("lost-key", own, place, home=str(own.home.root))
    (own.home.secrets / "repo1_key").write_text("of another repository")
    own.platform.pgbackrest.write_config()
    (status, _) = (await own.platform.pgbackrest.catalogue()).repositories
    assert status.wrong_key
    return book


async def test_a_lost_key_is_put_back_from_the_kit(protected: Protected, tmp_path: Path) -> None:
    place = tmp_path / "operator"
    kit = seal_kit(gather_kit(protected.home, at=protected.platform.clock.now()), PASSPHRASE)
    book = await lose_key(protected, place)
    (place / "kit.txt").write_text(kit)
    (place / "passphrase.txt").write_text(PASSPHRASE)
    numbers = [await protected.commit() for _ in range(3)]
    await book.follow("The rescue kit is there")
    await protected.recover(None)
    assert await protected.rows() == numbers


async def test_a_repository_without_a_key_is_begun_anew_and_nothing_is_lost(
    protected: Protected, tmp_path: Path
) -> None:
    book = await lose_key(protected, tmp_path / "operator")
    numbers = [await protected.commit() for _ in range(3)]
    await protected.platform.server.write_configuration(protected.platform.pgbackrest.archive_command())
    await book.follow("No copy of the key is anywhere")
    shutil.rmtree(protected.home.root / "repo2")
    await protected.commit()
    await protected.recover(None)
    assert await protected.rows() == [*numbers, numbers[-1] + 1]


async def damage_a_page(own: Protected) -> int:
    """Flip bytes of a table's second page on the disk; gives how many rows the table has."""
    async with await own.platform.server.target().connect() as connection:
        await connection.execute("insert into marks select n, repeat('x', 400) from generate_series(1000, 3000) n")
        await connection.execute("checkpoint")
        row = await (await connection.execute("select pg_relation_filepath('marks')")).fetchone()
    assert row is not None
    rows = await own.rows()
    await own.platform.server.stop()
    with (own.home.pgdata / row[0]).open("r+b") as file:
        file.seek(8192 + 4000)
        file.write(bytes(64))
    await own.start()
    with pytest.raises(psycopg.errors.DataCorrupted):
        await own.rows()
    return len(rows)


async def test_a_corrupted_page_is_replaced_and_every_commit_kept(protected: Protected, tmp_path: Path) -> None:
    rows = await damage_a_page(protected)
    book = open_runbook("corrupted-page", protected, tmp_path / "operator")
    await book.follow("Put clean pages in place")
    assert len(await protected.rows()) == rows


async def test_a_failed_drill_is_understood_mended_and_proven(protected: Protected, tmp_path: Path) -> None:
    book = open_runbook("failed-drill", protected, tmp_path / "operator")
    await protected.commit()
    await protected.archive()
    async with operated(protected):
        files = (protected.home.root / "repo1/backup").rglob("*F/bundle/*")
        flip_a_bit(max(files, key=lambda path: path.stat().st_size))
        words = [sys.executable, "-P", "-m", "wedsync", "drill", "run", "--repo", "1"]
        drill = await run(words, deadline=timedelta(minutes=3), env=environment(protected))
        assert drill.exit_status == 3, drill.stdout + drill.stderr
        await book.follow("See what it was")
        await book.follow("Mend what can be mended")
        await book.follow("Prove it")


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


async def migrate_badly(own: Protected, directory: Path, statement: str) -> str:
    """Apply the shipped migrations and one that was a mistake; gives the moment before it."""
    shutil.copytree(SHIPPED, directory)
    (directory / "0900_mistake.sql").write_text(f"{statement};\n")
    (directory / "0900_mistake.rollback.sql").write_text(
        "alter table public.guests drop column if exists shoe_size;\n"
    )
    conditions = own.platform.migration_conditions(override="a test")
    await up(own.platform.owner_target, directory=directory, conditions=conditions)
    happened = await moments_of(own)
    return max(each["before"] for each in happened if each["kind"] == "schema_changed")


async def test_a_bad_migration_is_taken_back_by_its_rollback(protected: Protected, tmp_path: Path) -> None:
    migrations = tmp_path / "migrations"
    await migrate_badly(protected, migrations, "alter table public.guests add column shoe_size integer")
    book = open_runbook("bad-migration", protected, tmp_path / "operator", migrations=str(migrations))
    await book.follow("Its rollback is enough")
    async with await protected.platform.owner_target.connect() as connection:
        left = await connection.execute("select from pg_attribute where attname = 'shoe_size'")
        assert left.rowcount == 0


@pytest.mark.parametrize("heading", ["rows", "everything"])
async def test_what_a_bad_migration_deleted_comes_back(protected: Protected, tmp_path: Path, heading: str) -> None:
    await load(protected.platform.owner_target, size=0.03)
    couple, guests = await a_couple(protected)
    async with operated(protected):
        before = await migrate_badly(protected, tmp_path / "migrations", "delete from public.guests")
        assert await guests_of(protected, couple) == 0
        book = open_runbook("bad-migration", protected, tmp_path / "operator", before=before)
        if heading == "rows":
            await book.follow("It destroyed rows")
        else:
            await book.follow("Everything is wrong")
        assert await guests_of(protected, couple) == guests


async def a_couple(own: Protected) -> tuple[str, int]:
    """A couple with guests, and how many."""
    target = own.platform.server.target("postgres", own.platform.config.database.name)
    async with await target.connect() as connection:
        row = await (
            await connection.execute(
                "select couple_id::text, count(*) from guests group by 1 having count(*) > 20 order by 1 limit 1"
            )
        ).fetchone()
    assert row is not None
    return row[0], row[1]


async def moments_of(own: Protected) -> list[dict[str, Any]]:
    """What `recover moments` lists."""
    words = [sys.executable, "-P", "-m", "wedsync", "recover", "moments", "--json"]
    found = await run(words, deadline=timedelta(minutes=3), env=environment(own))
    happened: list[dict[str, Any]] = json.loads(found.check().stdout)["happenings"]
    return happened


async def delete_guests(own: Protected) -> tuple[str, int, str]:
    """Load weddings and delete the guests of one; gives the couple, how many they were, and the moment before."""
    await load(own.platform.owner_target, size=0.03)
    couple, guests = await a_couple(own)
    target = own.platform.server.target("postgres", own.platform.config.database.name)
    async with await target.connect() as connection:
        deleted = await connection.execute("delete from guests where couple_id = %s::uuid", (couple,))
        assert deleted.rowcount == guests
    (before,) = [
        each["before"]
        for each in await moments_of(own)
        if each.get("couple") == couple and "deleted" in each["words"]
    ]
    return couple, guests, before


async def guests_of(own: Protected, couple: str) -> int:
    async with await own.platform.owner_target.connect() as connection:
        row = await (
            await connection.execute("select count(*) from guests where couple_id = %s::uuid", (couple,))
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("heading", ["couple", "table"])
async def test_guests_deleted_by_mistake_come_back(protected: Protected, tmp_path: Path, heading: str) -> None:
    async with operated(protected):
        couple, guests, before = await delete_guests(protected)
        book = open_runbook("wrong-delete", protected, tmp_path / "operator", before=before, couple=couple)
        if heading == "couple":
            await book.follow("Find the moment")
            await book.follow("Look before you bring anything back")
            await book.follow("One couple's rows")
        else:
            await book.follow("Rows of one table, whosever they are")
        assert await guests_of(protected, couple) == guests


async def test_an_emptied_bucket_and_a_lost_machine_come_back(
    protected: Protected, s3: S3Store, tmp_path: Path
) -> None:
    place = tmp_path / "operator"
    region = s3.bucket(lock_days=30)
    with protected.home.config_file.open("a") as file:
        file.write(f"\n{region.toml(protected.home)}")
    await use_region(protected, region)
    place.mkdir()
    (place / "passphrase.txt").write_text(PASSPHRASE)
    async with operated(protected):
        await protected.backup(BackupKind.FULL, repo=2)
        numbers = [await protected.commit() for _ in range(3)]
        await protected.archive()
        await asyncio.sleep(1.1)  # a store's moments are whole seconds
        before = datetime.now(UTC)
        book = open_runbook("ransomware", protected, place, before=before.isoformat())
        await book.follow("Before it happens")
        await asyncio.sleep(1.1)
        await protected.kill()
        protected.platform.state.close()
        bucket = region.options["s3-bucket"]
        for item in s3.client.list_objects(bucket, recursive=True):
            s3.client.remove_object(bucket, str(item.object_name))
        lose_machine(protected)

        await book.follow("The bucket was emptied, too")

        protected.reopen()
        assert await protected.rows() == numbers
