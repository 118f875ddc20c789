"""A text that is no file."""

import pytest

from support.migrations import ask
from wedsync.database import ConnectionTarget
from wedsync.errors import MigrationFailed, MigrationsFrozen, MigrationsRefused, UsageProblem
from wedsync.migrations import Conditions, run_text, status, up

AS_BOB = Conditions(by="bob", key=b"k")
TEXT = "create table public.seats (id int);"


class Frozen:
    async def reasons(self) -> list[str]:
        return ["a wedding"]


async def test_a_text_runs_once_and_is_no_file_that_is_missing(database: ConnectionTarget) -> None:
    await up(database, conditions=AS_BOB)
    ran = await run_text(database, name="seats", text=TEXT, conditions=AS_BOB, detail={"job": 7})
    assert (ran.by, ran.already) == ("bob as wedsync_owner", False)
    assert await ask(database, "select detail::json ->> 'job' from ops.migrations where kind = 'adhoc'") == "7"
    again = await run_text(database, name="seats", text=TEXT, conditions=AS_BOB)
    assert (again.already, again.applied_at) == (True, ran.applied_at)
    found = await status(database, key=b"k")
    assert found.is_current
    assert "seats" not in {row.name for row in found.applied}


async def test_a_name_stands_for_one_text(database: ConnectionTarget) -> None:
    await run_text(database, name="seats", text=TEXT, conditions=AS_BOB)
    with pytest.raises(MigrationsRefused, match="another text"):
        await run_text(database, name="seats", text="select 1;", conditions=AS_BOB)


@pytest.mark.parametrize("text", ["", "select 1; commit;", "slect 1;", "vacuum;", "copy t from stdin;"])
async def test_what_cannot_run_is_refused_before_anything(database: ConnectionTarget, text: str) -> None:
    with pytest.raises(MigrationsRefused):
        await run_text(database, name="x", text=text, conditions=AS_BOB)
    assert await ask(database, "select to_regclass('ops.migrations')::text") is None


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201])
async def test_a_name_has_to_say_something(database: ConnectionTarget, name: str) -> None:
    with pytest.raises(UsageProblem):
        await run_text(database, name=name, text=TEXT, conditions=AS_BOB)


async def test_a_text_fails_whole_and_respects_the_freeze(database: ConnectionTarget) -> None:
    with pytest.raises(MigrationFailed, match="broken:2: division by zero"):
        await run_text(database, name="broken", text=TEXT + "\nselect 1/0;", conditions=AS_BOB)
    with pytest.raises(MigrationsFrozen):
        await run_text(database, name="seats", text=TEXT, conditions=Conditions(key=b"k", freeze=Frozen()))
    assert await ask(database, "select to_regclass('public.seats')::text") is None
