"""Witnesses against a running server: what they record is what a copy shows that stops at their place."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from support.recoveries import Protected
from support.stopped_copies import stopped_copy
from wedsync.backup import dump_commits, read_commits
from wedsync.database import Lsn
from wedsync.drills.witness import (
    Effort,
    Witness,
    WitnessTaker,
    compare_copy,
    nearest_witness,
    witness_if_possible,
)
from wedsync.migrations import up
from wedsync.migrations.files.directory import SHIPPED
from wedsync.state import as_moment

QUICK = Effort(budget=timedelta(seconds=20), wait=timedelta(seconds=30))


def taker(own: Protected, effort: Effort = QUICK) -> WitnessTaker:
    target = own.platform.server.target("postgres", own.platform.config.database.name)
    return WitnessTaker(target, state=own.platform.state, effort=effort)


@asynccontextmanager
async def busy(own: Protected, clients: int = 4) -> AsyncIterator[list[int]]:
    """Clients that insert, change, delete, in transactions of several statements, with parts that are undone."""
    done = [0]
    target = own.platform.server.target("postgres", own.platform.config.database.name)
    async with await target.connect() as connection:
        await connection.execute("create table accounts (id int primary key, owner text, balance bigint)")
        await connection.execute("create table moves (id bigserial primary key, what text, at timestamptz)")
        await connection.execute(
            "insert into accounts select i, md5(i::text), 1000 from generate_series(1, 500) i"
        )

    async def work(seed: int) -> None:
        dice = random.Random(seed)
        async with await target.connect() as connection:
            while True:
                a, b = dice.sample(range(1, 501), 2)
                async with connection.transaction(force_rollback=dice.random() < 0.1):
                    for one, sign in sorted(((a, -1), (b, 1))):
                        await connection.execute(
                            "update accounts set balance = balance + %s where id = %s", (sign * 10, one)
                        )
                    async with connection.transaction(force_rollback=dice.random() < 0.3):
                        await connection.execute(
                            "insert into moves (what, at) values (%s, clock_timestamp())", (f"{a} to {b}",)
                        )
                    if dice.random() < 0.2:
                        await connection.execute("delete from moves where id = (select min(id) from moves)")
                done[0] += 1

    tasks = [asyncio.create_task(work(seed)) for seed in range(clients)]
    try:
        yield done
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


async def later_commit(own: Protected, after: Lsn) -> Lsn:
    """Start of the record of the first commit at or behind a place."""
    pg_wal = own.home.pgdata / "pg_wal"
    for name in (after.segment_file(1), Lsn(after.position + 16 * 1024 * 1024).segment_file(1)):
        for commit in read_commits(
            (await dump_commits(own.platform.engine, [str(pg_wal / name)])).stdout.splitlines()
        ):
            if commit.lsn >= after:
                return commit.lsn
    raise AssertionError(f"no commit behind {after}")


@pytest.mark.timeout(600)
async def test_each_witness_under_load_is_what_a_copy_shows_at_its_place_and_not_one_commit_later(
    protected: Protected, tmp_path: Path
) -> None:
    label = protected.platform.backup_records.backups()[0].label
    async with busy(protected) as done:
        witnesses = [await taker(protected).take("operator") for _ in range(12)]
    assert done[0] > 100
    await protected.archive()
    assert len({witness.lsn for witness in witnesses}) == len(witnesses)
    assert all(witness.left_out == () for witness in witnesses)
    equal = later = 0
    target_lsn = witnesses[0].lsn
    async with stopped_copy(protected, tmp_path / "copy", target_lsn, label=label) as copy:
        for number, witness in enumerate(witnesses):
            if number:
                await copy.move_to(witness.lsn)
            async with await copy.target().connect() as connection:
                compared = await compare_copy(connection, witness, within_s=60)
            assert compared.differences == ()
            assert compared.tables > 50
            equal += 1
            commit = await later_commit(protected, witness.lsn)
            if number + 1 < len(witnesses) and commit < witnesses[number + 1].lsn:
                await copy.move_to(commit, exclusive=False)
                async with await copy.target().connect() as connection:
                    compared = await compare_copy(connection, witness, within_s=60)
                assert compared.differences, f"one commit behind {witness.lsn} nothing differs"
                later += 1
    assert equal == len(witnesses)
    assert later > 6


async def test_what_the_database_holds_is_recorded_before_and_after_a_change_of_its_schema(
    protected: Protected, tmp_path: Path
) -> None:
    files = tmp_path / "versions"
    shutil.copytree(SHIPPED, files)
    (files / "9001_witnessed.sql").write_text("create table public.witnessed (id int primary key);\n")
    (files / "9001_witnessed.rollback.sql").write_text("drop table public.witnessed;\n")
    conditions = protected.platform.migration_conditions(by="test", override="a test, on any day")
    await up(protected.platform.owner_target, directory=files, conditions=conditions)
    before, after = (found for found in all_witnesses(protected) if found.reason == "migration")
    assert "public.witnessed" not in {table.table for table in before.tables}
    assert "public.witnessed" in {table.table for table in after.tables}
    assert before.catalogue is not None
    assert before.catalogue != after.catalogue
    again = await up(protected.platform.owner_target, directory=files, conditions=conditions)
    assert again.applied == ()
    assert len(all_witnesses(protected)) == 2  # where nothing changes nothing is recorded


async def test_a_migration_goes_on_where_no_witness_can_be_taken(protected: Protected, tmp_path: Path) -> None:
    said: list[str] = []
    target = replace(protected.platform.server.target("wedsync_monitor"), dbname="postgres")
    none = await witness_if_possible(
        WitnessTaker(target, state=protected.platform.state, effort=QUICK), "migration", say=said.append
    )
    assert none is None
    assert len(said) == 1
    assert said[0].startswith("no witness: ")
    assert all_witnesses(protected) == []


def all_witnesses(own: Protected) -> list[Witness]:
    """In the order of their places."""
    rows = own.platform.state.rows("select system_id, timeline, position, at from witnesses order by position")
    found = [
        nearest_witness(
            own.platform.state, row["system_id"], row["timeline"], Lsn.parse("0/0"), as_moment(row["at"])
        )
        for row in rows
    ]
    return [item for item in found if item is not None]
