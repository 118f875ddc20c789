"""What happens to a witness when something goes wrong while it is taken."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from support.events import eventually
from support.recoveries import Protected
from support.stopped_copies import stopped_copy
from wedsync.database import ConnectionTarget, Lsn
from wedsync.drills.witness import Effort, WitnessService, WitnessTaker, newest_witness
from wedsync.errors import CannotConnect, WedsyncError, WitnessHeldUp, WitnessRefused
from wedsync.events import counts

SHORT = Effort(wait=timedelta(seconds=1))


def target(own: Protected) -> ConnectionTarget:
    return own.platform.server.target("postgres", own.platform.config.database.name)


def taker(own: Protected, effort: Effort | None = None) -> WitnessTaker:
    return WitnessTaker(target(own), state=own.platform.state, effort=effort)


async def value(own: Protected, text: str) -> object:
    async with await target(own).connect() as connection:
        row = await (await connection.execute(text.encode())).fetchone()
    return row[0] if row else None


def no_slot(own: Protected) -> Callable[[], Awaitable[bool]]:
    async def is_gone() -> bool:
        return await value(own, "select count(*) from pg_replication_slots") == 0

    return is_gone


def nothing_written(own: Protected) -> bool:
    return own.platform.state.rows("select 1 from witnesses union all select 1 from witness_catalogues") == []


async def test_a_transaction_that_stays_open_delays_the_witness_and_nothing_else(protected: Protected) -> None:
    """A session writes and does not end its transaction.

    Lost: nothing; this hour has no witness.
    Seen: WS461, and the event witness_skipped with the same words.
    """
    own = protected
    service = WitnessService(
        taker=taker(own, SHORT),
        state=own.platform.state,
        clock=own.platform.clock,
        every=timedelta(hours=1),
        keep=timedelta(days=30),
        last_backup=lambda: None,
        must_wait=lambda: False,
    )
    async with await target(own).connect() as writer:
        await writer.execute("begin")
        await writer.execute("select pg_current_xact_id()")
        with pytest.raises(WitnessHeldUp):
            await taker(own, SHORT).take("operator")
        before = counts["witness_skipped"]
        assert await service.step() is None
        assert counts["witness_skipped"] == before + 1
        await eventually(no_slot(own), what="the slot is gone")
        assert nothing_written(own)
        await writer.execute("commit")
    assert (await taker(own).take("operator")).rows > 0


async def test_a_table_that_is_dropped_meanwhile_is_left_out(protected: Protected) -> None:
    """A table is dropped, another emptied, after the place was found.

    Lost: nothing; these tables are not compared by this witness.
    Seen: both among what was left out, each with its reason.
    """
    own = protected
    async with await target(own).connect() as connection:
        await connection.execute(
            "create table aaa_big as select i, repeat(md5(i::text), 20) t from generate_series(1, 150000) i"
        )
        await connection.execute("create table zzz_gone (id int)")
        await connection.execute("create table zzz_emptied as select 1 as id")
        taking = asyncio.create_task(taker(own).take("operator"))

        async def reads() -> bool:
            found = await value(
                own,
                "select count(*) from pg_stat_activity where query like 'select count(*), coalesce(sum(%'"
                " and pid <> pg_backend_pid()",
            )
            return found != 0 or taking.done()

        await eventually(reads, what="the witness reads")
        await connection.execute("drop table zzz_gone")
        await connection.execute("truncate zzz_emptied")
    witness = await taking
    compared = {item.table: item.rows for item in witness.tables}
    left_out = {item.table for item in witness.left_out}
    # the small ones may have been read before: then what changed since is left out all the same
    assert "public.zzz_gone" in left_out
    assert "public.zzz_emptied" in left_out
    assert compared["public.aaa_big"] == 150_000


async def test_a_server_that_is_killed_meanwhile_leaves_nothing_half(protected: Protected) -> None:
    """kill -9 of the server while a witness is taken.

    Lost: nothing.
    Seen: an error of the connection in the event witness_skipped; the next witness is taken after the restart.
    """
    own = protected
    async with await target(own).connect() as connection:
        await connection.execute(
            "create table big as select i, repeat(md5(i::text), 20) t from generate_series(1, 150000) i"
        )
    taking = asyncio.create_task(taker(own).take("operator"))
    await asyncio.wait([taking], timeout=0.3)
    assert not taking.done()
    await own.kill()
    with pytest.raises((WedsyncError, psycopg.Error)):
        await taking
    assert nothing_written(own)
    await own.start()
    await eventually(no_slot(own), what="no slot is left")
    assert (await taker(own).take("operator")).rows >= 150_000


async def test_a_keeper_that_is_killed_meanwhile_leaves_no_slot_and_no_record(protected: Protected) -> None:
    """kill -9 of the process that takes a witness, while it waits for an open transaction.

    Lost: nothing.
    Seen: nothing; the next keeper takes the witness.
    """
    own = protected
    async with await target(own).connect() as writer:
        await writer.execute("begin")
        await writer.execute("select pg_current_xact_id()")
        place = target(own)
        words = [sys.executable, "-c", _TAKE, place.host, str(place.port), place.dbname]
        taking = await asyncio.create_subprocess_exec(*words)

        async def has_slot() -> bool:
            return await value(own, "select count(*) from pg_replication_slots") == 1

        await eventually(has_slot, what="the slot is being made")
        taking.send_signal(signal.SIGKILL)
        await taking.wait()
        await eventually(no_slot(own), what="the server gave the slot up by itself")
        await writer.execute("commit")
    assert newest_witness(own.platform.state) is None


_TAKE = """
import asyncio, sys
from datetime import timedelta
from wedsync.database import ConnectionTarget
from wedsync.drills.witness.place import exact_place
target = ConnectionTarget(host=sys.argv[1], port=int(sys.argv[2]), dbname=sys.argv[3], user="postgres")
async def main():
    async with exact_place(target, wait=timedelta(seconds=5)):
        pass
asyncio.run(main())
"""


async def test_a_server_in_recovery_gives_no_place(protected: Protected, tmp_path: Path) -> None:
    """The server is read-only: a standby, or a recovery that is under way.

    Lost: nothing.
    Seen: WS460, the server's own words in it; with the server down, that it cannot be reached.
    """
    own = protected
    label = own.platform.backup_records.backups()[0].label
    lsn = Lsn.parse(str(await value(own, "select pg_current_wal_lsn()")))
    await own.archive()
    async with stopped_copy(own, tmp_path / "copy", lsn, label=label) as copy:
        standby = WitnessTaker(copy.target(), state=own.platform.state, effort=SHORT)
        with pytest.raises(WitnessRefused, match="no exact place"):
            await standby.take("operator")
    await own.platform.server.stop("fast")
    with pytest.raises(CannotConnect):
        await taker(own).take("operator")
    assert nothing_written(own)
