"""Files and ledger brought into agreement again, by appending."""

from pathlib import Path

import pytest

from support.migrations import ask, tell, write
from wedsync.database import ConnectionTarget
from wedsync.errors import MigrationsRefused, UsageProblem
from wedsync.migrations import (
    Conditions,
    accept,
    chain_anew,
    decide_step,
    file_difference,
    restore_file,
    status,
    up,
)

ALICE = Conditions(by="alice", key=b"k")
BOB = Conditions(by="bob", key=b"k")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "versions"
    made.mkdir()
    write(made, "0001_a", "create table public.a ();\ncreate table public.b ();\n")
    write(made, "0002_c", "create table public.c ();\n")
    return made


async def test_an_edited_file_is_shown_and_accepted_by_a_row_of_its_own(
    database: ConnectionTarget, directory: Path
) -> None:
    await up(database, directory=directory, conditions=ALICE)
    before = await ask(database, "select row_to_json(m)::text from ops.migrations m where seq = 1")
    write(directory, "0001_a", "create table public.a ();\n-- two\ncreate table public.b ();\n")
    found = await file_difference(database, "0001_a", directory=directory)
    assert found.diff.splitlines()[2:] == [
        "@@ -1,2 +1,3 @@", " create table public.a ();", "+-- two", " create table public.b ();"
    ]  # fmt: skip
    assert await ask(database, "select count(*) from ops.migrations") == 2  # shown, not done
    row = await accept(database, found, reason="a comment", conditions=BOB)
    assert (row.reason, row.by) == ("a comment", "bob as wedsync_owner")
    after = await status(database, directory=directory, key=b"k")
    assert after.is_current
    assert after.applied[0].by == "alice as wedsync_owner"
    assert await ask(database, "select row_to_json(m)::text from ops.migrations m where seq = 1") == before
    with pytest.raises(UsageProblem, match="needs no repair"):
        await file_difference(database, "0001_a", directory=directory)


async def test_a_repair_needs_words_and_a_decision_that_still_stands(
    database: ConnectionTarget, directory: Path
) -> None:
    await up(database, directory=directory, conditions=ALICE)
    write(directory, "0001_a", "select 1;\n")
    found = await file_difference(database, "0001", directory=directory)
    with pytest.raises(UsageProblem, match="reason"):
        await accept(database, found, reason=" ", conditions=BOB)
    await accept(database, found, reason="first", conditions=BOB)
    with pytest.raises(MigrationsRefused, match="somebody else"):
        await accept(database, found, reason="second", conditions=BOB)
    with pytest.raises(UsageProblem, match="not applied"):
        await file_difference(database, "0009_z", directory=directory)


async def test_the_text_that_ran_is_put_back_into_an_edited_or_missing_file(
    database: ConnectionTarget, directory: Path
) -> None:
    await up(database, directory=directory, conditions=ALICE)
    write(directory, "0001_a", "select 1;\n")
    (directory / "0002_c.sql").unlink()
    (directory / "0002_c.rollback.sql").rename(directory / "aside.txt")
    for identity in ("0001_a", "0002_c"):
        found = await file_difference(database, identity, directory=directory)
        assert restore_file(found, directory=directory) == directory / f"{identity}.sql"
    (directory / "aside.txt").rename(directory / "0002_c.rollback.sql")
    assert (await status(database, directory=directory, key=b"k")).is_current


async def test_a_missing_file_cannot_be_accepted(database: ConnectionTarget, directory: Path) -> None:
    await up(database, directory=directory, conditions=ALICE)
    (directory / "0002_c.sql").unlink()
    found = await file_difference(database, "0002_c", directory=directory)
    with pytest.raises(UsageProblem) as raised:
        await accept(database, found, reason="gone", conditions=BOB)
    assert "--restore" in str(raised.value.hint)


@pytest.mark.parametrize(
    "by_hand",
    [
        "update ops.migrations set by = 'nobody' where seq = 1",
        "delete from ops.migrations where seq = 2",
        "delete from ops.migration_head",
    ],
)
async def test_a_ledger_changed_by_hand_is_accepted_and_whole_again(
    database: ConnectionTarget, directory: Path, by_hand: str
) -> None:
    await up(database, directory=directory, conditions=ALICE)
    await tell(database, by_hand)
    write(directory, "0001_a", "select 1;\n")
    found = await file_difference(database, "0001_a", directory=directory)
    with pytest.raises(MigrationsRefused):  # nothing is appended to a chain that is broken
        await accept(database, found, reason="x", conditions=BOB)
    broken, row = await chain_anew(database, reason="restored by hand", conditions=BOB)
    assert len(broken) == 1
    assert broken[0].message in row.detail.encode().decode()
    seen = await status(database, directory=directory, key=b"k")
    assert {problem.kind for problem in seen.problems} == {"edited"}


async def test_a_lost_key_is_replaced(database: ConnectionTarget, directory: Path) -> None:
    await up(database, directory=directory, conditions=ALICE)
    other = Conditions(by="bob", key=b"another key")
    (problem,) = (await status(database, directory=directory, key=b"another key")).problems
    assert "with key" in problem.message
    await chain_anew(database, reason="the key was lost", conditions=other)
    assert (await status(database, directory=directory, key=b"another key")).is_current


@pytest.mark.parametrize("ran", [True, False])
async def test_a_person_says_whether_a_step_ran(database: ConnectionTarget, directory: Path, ran: bool) -> None:
    await up(database, directory=directory, conditions=ALICE)
    text = "-- transaction: none\ncall public.count_up();\n"
    await tell(
        database,
        "create table public.counted (n int); insert into public.counted values (0);"
        "create procedure public.count_up() begin atomic update public.counted set n = n + 1; end",
    )
    write(directory, "0003_d", text)
    async with await database.connect() as connection:
        await connection.execute(
            "insert into ops.migration_steps (id, direction, step, checksum, statement, state, before, by)"
            " values (3, 'up', 1, encode(sha256('call public.count_up()'), 'hex'), 'call public.count_up()',"
            " 'started', 'unknown', 'alice')"
        )
    decision = {"ran": ran, "reason": "I looked", "conditions": BOB, "directory": directory}
    await decide_step(database, "0003_d", 1, **decision)  # type: ignore[arg-type]
    with pytest.raises(UsageProblem, match="not undecided"):
        await decide_step(database, "0003_d", 1, **decision)  # type: ignore[arg-type]
    await up(database, directory=directory, conditions=ALICE)
    assert await ask(database, "select n from public.counted") == (0 if ran else 1)
    assert (await status(database, directory=directory, key=b"k")).is_current
