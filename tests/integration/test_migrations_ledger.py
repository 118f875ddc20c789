"""The ledger in a real database: upgraded in place, tampered with, without its key."""

from pathlib import Path

import pytest

from support.migrations import ask, tell, write
from wedsync.database import ConnectionTarget
from wedsync.errors import MigrationsRefused
from wedsync.migrations import Conditions, ProblemKind, chain_anew, read_files, status, up

KEY = b"key of this test"
WITH_KEY = Conditions(by="alice", key=KEY)

FIRST_LEDGER = """
create schema if not exists ops;
create table ops.migrations (
    id integer primary key,
    name text not null,
    checksum text not null,
    raw_checksum text not null,
    applied_at timestamptz not null default clock_timestamp(),
    took_ms integer not null,
    by text not null,
    text text not null
);
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "versions"
    made.mkdir()
    for number, name in enumerate("abc", start=1):
        write(made, f"{number:04d}_{name}", f"create table public.{name} ();")
    return made


async def first_version(database: ConnectionTarget, directory: Path, *names: str) -> None:
    """A ledger as the first version of the product left it."""
    await tell(database, FIRST_LEDGER)
    async with await database.connect() as connection:
        for file in read_files(directory).files:
            if file.name in names:
                await connection.execute(file.text.encode())
                await connection.execute(
                    "insert into ops.migrations (id, name, checksum, raw_checksum, took_ms, by, text)"
                    " values (%s, %s, %s, %s, 1, 'wedsync up as wedsync_owner', %s)",
                    (file.number, file.name, file.checksum, file.raw_checksum, file.text),
                )


async def test_a_ledger_of_the_first_version_is_read_as_it_is_and_upgraded_in_place(
    database: ConnectionTarget, directory: Path
) -> None:
    await first_version(database, directory, "a", "b")
    before = await status(database, directory=directory, key=KEY)
    assert [row.id for row in before.applied] == ["0001_a", "0002_b"]
    assert not before.problems
    assert await ask(database, "select count(*) from pg_attribute where attname = 'seq'"
                     " and attrelid = 'ops.migrations'::regclass") == 0  # fmt: skip
    run = await up(database, directory=directory, conditions=WITH_KEY)
    assert [row.id for row in run.applied] == ["0003_c"]
    after = await status(database, directory=directory, key=KEY)
    assert after.is_current
    assert after.applied[:2] == before.applied
    assert await ask(database, "select array_agg(kind order by seq) from ops.migrations") == [
        "applied", "applied", "chained", "applied"
    ]  # fmt: skip
    assert await ask(database, "select count(*) from ops.migrations where mac is null") == 0


async def test_rows_written_without_a_key_are_believed_only_when_somebody_says_so(
    database: ConnectionTarget, directory: Path
) -> None:
    await up(database, directory=directory)
    write(directory, "0004_d", "select 1;")
    with pytest.raises(MigrationsRefused, match="never made for want of a key"):
        await up(database, directory=directory, conditions=WITH_KEY)
    await chain_anew(database, reason="this database had no home", conditions=WITH_KEY)
    await up(database, directory=directory, conditions=WITH_KEY)
    assert (await status(database, directory=directory, key=KEY)).is_current
    write(directory, "0005_e", "select 1;")
    with pytest.raises(MigrationsRefused, match="protected by a key"):
        await up(database, directory=directory)


@pytest.mark.parametrize(
    ("by_hand", "named"),
    [
        ("update ops.migrations set checksum = repeat('0', 64) where id = 2", "0002_b"),
        ("update ops.migrations set text = 'select 1;' where id = 2", "0002_b"),
        ("update ops.migrations set by = 'nobody' where id = 2", "0002_b"),
        ("update ops.migrations set applied_at = now() - interval '1 y' where id = 2", "0002_b"),
        ("delete from ops.migrations where id = 1", "row 1 of"),
        ("delete from ops.migrations where id = 3", "row 3 of"),
        ("insert into ops.migrations select 4, kind, 4, 'd', checksum, raw_checksum, now(), 1, by, text, reason,"
         " detail, mac from ops.migrations where id = 3", "0004_d"),
        ("delete from ops.migration_head", "end of the ledger"),
        ("update ops.migrations set by = 'nobody', mac = null; delete from ops.migration_head", "all 3 rows"),
        ("update ops.migrations set mac = null;"
         " update ops.migration_head set key_id = null, mac = null", "all 3 rows"),
    ],
)  # fmt: skip
async def test_a_row_changed_by_hand_is_named_by_status_and_stops_everything(
    database: ConnectionTarget, directory: Path, by_hand: str, named: str
) -> None:
    await up(database, directory=directory, conditions=WITH_KEY)
    assert (await status(database, directory=directory, key=KEY)).is_current
    await tell(database, by_hand)
    seen = await status(database, directory=directory, key=KEY)
    (problem,) = [problem for problem in seen.problems if problem.kind is ProblemKind.TAMPERED]
    assert named in problem.message
    write(directory, "0009_z", "create table public.z ();")
    with pytest.raises(MigrationsRefused):
        await up(database, directory=directory, conditions=WITH_KEY)
    assert await ask(database, "select to_regclass('public.z')::text") is None


async def test_a_failed_file_leaves_the_chain_whole(database: ConnectionTarget, directory: Path) -> None:
    write(directory, "0004_d", "create table public.d (); select 1/0;")
    with pytest.raises(Exception, match="0004_d"):
        await up(database, directory=directory, conditions=WITH_KEY)
    write(directory, "0004_d", "create table public.d ();")
    await up(database, directory=directory, conditions=WITH_KEY)
    assert (await status(database, directory=directory, key=KEY)).is_current
