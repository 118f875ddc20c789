"""The machine is lost under load: what was acknowledged is in the second region, or the loss is what was said."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest

from support.clusters import START, new_home
from support.events import eventually
from support.recoveries import Load, Protected, load, open_home
from wedsync.app import Platform
from wedsync.cluster import ServerState
from wedsync.cluster.datadir import processes_in
from wedsync.config import Home, WhenDown, ZeroLossConfig, ZeroLossMode
from wedsync.database.pipeline import PipelinePool, Statement, Work
from wedsync.errors import CommitUnknown
from wedsync.process import run
from wedsync.zero_loss import RECEIVER

CLIENTS, COMMITS = 4, 800
WRITE = b"""insert into ops.heartbeat values (1, clock_timestamp())
             on conflict (id) do update set beat_at = excluded.beat_at"""


def with_receiver(own: Protected, **settings: object) -> Protected:
    """The same home with a receiver as `settings` say; its directory is outside the home, as another region is."""
    chosen = ZeroLossConfig(directory=str(second_region(own.home)), **settings)  # type: ignore[arg-type]
    text = own.home.config_file.read_text()
    words = {
        "mode": chosen.mode.value,
        "directory": chosen.directory,
        "when_down": chosen.when_down.value,
        "degrade_after": f"{chosen.degrade_after.total_seconds():g}s",
        "keep": f"{chosen.keep.total_seconds():g}s",
    }
    lines = "".join(f'{name} = "{value}"\n' for name, value in words.items())
    own.home.config_file.write_text(f"{text}\n[backup.zero_loss]\n{lines}")
    own.platform.state.close()
    own.platform = Platform(own.home, {})
    return own


def second_region(home: Home) -> Path:
    return home.root.parent / "second-region"


@asynccontextmanager
async def receiving(own: Protected) -> AsyncIterator[None]:
    """The receiver and the keeper's watch over it, until the context ends."""
    platform = own.platform
    tasks = [
        asyncio.create_task(platform.receiver(may_run=lambda: None).run(), name="receiver"),
        asyncio.create_task(platform.zero_loss_service().run(), name="watch"),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def restart_with_receiver(own: Protected, **settings: object) -> Protected:
    """Stop the server, configure the receiver, start it again: the role and its right are there."""
    await own.platform.server.stop()
    with_receiver(own, **settings)
    await own.start()
    await own.platform.settle_roles()
    return own


def newest(own: Protected) -> dict[str, object]:
    row = own.platform.state.row("select * from exposure order by at desc limit 1")
    return {} if row is None else dict(row)


def is_in_mode(own: Protected, mode: str) -> Callable[[], bool]:
    return lambda: newest(own).get("mode") == mode


def receiver_pid(own: Protected) -> int | None:
    """The pid of pg_receivewal, by the directory that it writes to."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if Path(words[0]).name == "pg_receivewal" and any(
                str(second_region(own.home)) in word for word in words
            ):
                return int(entry.name)
    return None


async def lose_machine(own: Protected) -> Home:
    """kill -9 of the server; of its home only what `on_a_new_machine` copies is looked at again."""
    for pid in processes_in(own.home.pgdata):
        os.kill(pid, signal.SIGKILL)
    await eventually(lambda: own.platform.server.state() is ServerState.CRASHED, what="the server is dead")
    return own.home


async def on_a_new_machine(own: Protected, place: Path) -> Protected:
    """A new home with the secrets, repo2, and the configuration: nothing else of the old one."""
    home = new_home(place)
    for part in ("secrets", "repo2"):
        (await run(["cp", "-a", own.home.root / part, home.root / part], deadline=START)).check()
    text = own.home.config_file.read_text()
    shutil.rmtree(own.home.root / "pgdata")
    shutil.rmtree(own.home.root / "repo1")
    open_home(home)
    receiver = text[text.index("[backup.zero_loss]") :] if "[backup.zero_loss]" in text else ""
    home.config_file.write_text(home.config_file.read_text() + "\n" + receiver)
    found = Protected(platform=Platform(home, {}))
    found.platform.pgbackrest.write_config()
    return found


@asynccontextmanager
async def machine_lost_under_load(own: Protected, place: Path) -> AsyncIterator[tuple[Protected, Load]]:
    """Commits as fast as they come; in the middle of them the machine is lost, and there is a new one."""
    async with load(own, clients=CLIENTS, commits=COMMITS) as ledger:
        await eventually(lambda: len(ledger.acknowledged) > 300, what="clients write")
        await lose_machine(own)
    new = await on_a_new_machine(own, place)
    try:
        yield new, ledger
    finally:
        await new.platform.server.stop("immediate")
        new.platform.state.close()
        shutil.rmtree(place, ignore_errors=True)
        if new.home.sockets != new.home.run:
            shutil.rmtree(new.home.sockets, ignore_errors=True)


@pytest.mark.parametrize("round_", [1, 2, 3])
async def test_with_a_synchronous_receiver_no_acknowledged_commit_is_lost_with_the_machine(
    protected: Protected, tmp_path: Path, round_: int
) -> None:
    """kill -9 of the server under load; its directory and repo1 are gone.

    Lost: nothing that was acknowledged.
    Seen: `recover run --to latest` from repo2 and the received WAL; `rpo.mode` is sync, 0 s.
    """
    own = await restart_with_receiver(protected, mode=ZeroLossMode.SYNC)
    async with receiving(own):
        await eventually(is_in_mode(own, "sync"), what="commits wait for the receiver")
        assert newest(own)["at_stake_s"] == 0
        async with machine_lost_under_load(own, tmp_path / f"new{round_}") as (new, ledger):
            done = await new.recover(None)
            there = set(await new.rows())
    lost = set(ledger.acknowledged) - there
    assert not lost, f"{len(lost)} of {len(ledger.acknowledged)}"
    assert there <= {*ledger.acknowledged, *ledger.unknown}
    assert done.archiving


async def test_with_an_asynchronous_receiver_a_second_at_the_most_is_lost(
    protected: Protected, tmp_path: Path
) -> None:
    """The same; commits do not wait for the receiver.

    Lost: at most a second of acknowledged commits.
    Seen: `rpo.mode` is async, with the seconds as measured.
    """
    own = await restart_with_receiver(protected, mode=ZeroLossMode.ASYNC)
    async with receiving(own):
        await eventually(is_in_mode(own, "async"), what="the receiver follows")
        at: dict[int, float] = {}
        async with load(own, clients=CLIENTS, commits=COMMITS) as ledger:
            seen = 0
            began = monotonic()
            while len(ledger.acknowledged) < 400 and monotonic() - began < 60:
                for n in ledger.acknowledged[seen:]:
                    at[n] = monotonic()
                seen = len(ledger.acknowledged)
                await asyncio.sleep(0.01)
            for n in ledger.acknowledged[seen:]:
                at[n] = monotonic()
            await lose_machine(own)
            lost_at = monotonic()
        new = await on_a_new_machine(own, tmp_path / "new")
        try:
            await new.recover(None)
            there = set(await new.rows())
        finally:
            await new.platform.server.stop("immediate")
            new.platform.state.close()
    assert at
    assert all(lost_at - when < 1.0 for n, when in at.items() if n not in there)


async def test_without_a_receiver_what_the_archive_has_not_is_lost_and_the_measure_says_so(
    protected: Protected, tmp_path: Path
) -> None:
    """The same, by the archive alone: what is measured before is what is lost then.

    Lost: the commits since the last archived segment, at most `archive_timeout`.
    Seen: `rpo.mode` is archive, and `in_force_s` the age of the oldest commit that would be lost.
    """
    own = protected
    service = own.platform.zero_loss_service()
    async with await own.platform.monitor_target.connect() as connection:
        await own.commit()
        await own.archive()
        before = await service.look(connection)
        assert before is not None
        assert before.at_stake_s == 0, "all is archived"
        kept = own.number
        looked = monotonic()
        await own.commit()
        committed = monotonic()
        measured = await service.look(connection)
        now = monotonic()
        assert measured is not None
        assert now - committed - 1.0 < measured.at_stake_s < now - looked + 1.0
        assert measured.at_stake_s > 0
        assert measured.at_stake_bytes > 0
    await lose_machine(own)
    new = await on_a_new_machine(own, tmp_path / "new")
    try:
        await new.recover(None)
        assert await new.rows() == list(range(1, kept + 1))
    finally:
        await new.platform.server.stop("immediate")
        new.platform.state.close()


async def test_a_killed_receiver_is_started_again_and_commits_go_on(protected: Protected) -> None:
    """kill -9 of pg_receivewal while commits wait for it.

    Lost: nothing.
    Seen: commits pause until it is back, a second or two later; nothing degrades.
    """
    own = await restart_with_receiver(protected, mode=ZeroLossMode.SYNC, degrade_after=timedelta(seconds=30))
    async with receiving(own):
        await eventually(is_in_mode(own, "sync"), what="commits wait for the receiver")
        own.platform.state.write("delete from exposure")
        before = receiver_pid(own)
        assert before is not None
        os.kill(before, signal.SIGKILL)
        async with asyncio.timeout(20):
            await own.commit()
        assert await eventually(lambda: receiver_pid(own), what="another receiver") != before
        modes = {row["mode"] for row in own.platform.state.rows("select mode from exposure")}
        assert "degraded" not in modes


async def test_a_frozen_receiver_lets_commits_go_after_the_time_that_was_given(protected: Protected) -> None:
    """SIGSTOP of pg_receivewal: it is connected still, and takes nothing.

    Lost: nothing; from then on a loss of the machine would cost what the archive has not.
    Seen: critical `zero_loss_degraded`; when it goes on and has caught up, `sync` again.
    """
    own = await restart_with_receiver(
        protected, mode=ZeroLossMode.SYNC, when_down=WhenDown.DEGRADE, degrade_after=timedelta(seconds=2)
    )
    async with receiving(own):
        await eventually(is_in_mode(own, "sync"), what="commits wait for the receiver")
        pid = receiver_pid(own)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            began = monotonic()
            async with asyncio.timeout(30):
                await own.commit()
            assert monotonic() - began > 1.0
            await eventually(is_in_mode(own, "degraded"), what="it is told")
            async with asyncio.timeout(5):
                await own.commit()
        finally:
            os.kill(pid, signal.SIGCONT)
        await eventually(is_in_mode(own, "sync"), what="commits wait again")
        assert await own.rows() == [1, 2]


async def test_who_waits_for_the_receiver_waits_for_as_long_as_it_is_away(
    protected: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`when_down = "wait"` and no receiver comes back.

    Lost: nothing: no commit is acknowledged.
    Seen: critical `commits_wait`; reads go on; the commit is done when the receiver is back.
    """
    own = await restart_with_receiver(
        protected, mode=ZeroLossMode.SYNC, when_down=WhenDown.WAIT, degrade_after=timedelta(seconds=1)
    )
    watch = asyncio.create_task(own.platform.zero_loss_service().run())
    receiver = asyncio.create_task(own.platform.receiver(may_run=lambda: None).run())
    try:
        await eventually(is_in_mode(own, "sync"), what="commits wait for the receiver")
        receiver.cancel()
        await asyncio.wait([receiver])
        writing = asyncio.create_task(own.commit())
        await eventually(is_in_mode(own, "waiting"), what="it is told")
        done, _ = await asyncio.wait([writing], timeout=2)
        assert not done
        assert await own.rows() == []
        receiver = asyncio.create_task(own.platform.receiver(may_run=lambda: None).run())
        async with asyncio.timeout(20):
            await writing
        assert await own.rows() == [1]
    finally:
        receiver.cancel()
        watch.cancel()
        await asyncio.wait([receiver, watch])


async def test_a_cancelled_wait_is_an_unknown_outcome_and_no_success(protected: Protected) -> None:
    """PostgreSQL reports a commit as done whose wait was cancelled: it may be on this machine alone.

    Lost: nothing here; with the machine, perhaps that commit.
    Seen: 504 WS252, as for a connection that was lost at its commit.
    """
    own = await restart_with_receiver(protected, mode=ZeroLossMode.SYNC, when_down=WhenDown.WAIT)
    server = own.platform.server
    await server.wait_for(RECEIVER)
    work = Work(
        role="wedsync_owner",
        settings=(),
        statements=(Statement(WRITE),),
        read_only=False,
        statement_timeout_ms=60_000,
    )
    async with PipelinePool(server.target("wedsync_owner", "wedsync"), min_size=1, max_size=2) as pool:
        writing = asyncio.create_task(pool.run(work))
        async with await server.target().connect() as connection:

            async def waiting() -> bool:
                cursor = await connection.execute(
                    "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'"
                )
                return await cursor.fetchone() is not None

            await eventually(waiting, what="it waits, and is cancelled")
        with pytest.raises(CommitUnknown):
            await writing
    await server.wait_for("")


async def test_a_lost_slot_is_made_again_and_the_archive_fills_the_gap(
    protected: Protected, tmp_path: Path
) -> None:
    """The slot is gone, with WAL that the receiver has not; then the machine is lost.

    Lost: nothing: the gap is in the archive, what comes behind it was received.
    Seen: event `slot_renewed` or a new run of received WAL in a directory of its own (`00000001.2`).
    """
    own = await restart_with_receiver(protected, mode=ZeroLossMode.SYNC)
    async with receiving(own):
        await eventually(is_in_mode(own, "sync"), what="commits wait for the receiver")
        await own.commit()
    await own.platform.server.wait_for("")
    async with await own.platform.server.target().connect() as connection:
        await connection.execute("select pg_drop_replication_slot(%s)", (RECEIVER,))
    for _ in range(3):
        await own.commit()
        await own.archive()
    await own.platform.server.stop()  # its last checkpoint lets the WAL of the gap go
    await own.start()
    async with receiving(own):
        await eventually(lambda: len(list(second_region(own.home).iterdir())) == 2, what="a new run")
        await eventually(is_in_mode(own, "sync"), what="commits wait for the receiver again")
        await own.commit()
        await lose_machine(own)
        new = await on_a_new_machine(own, tmp_path / "new")
        try:
            await new.recover(None)
            assert await new.rows() == [1, 2, 3, 4, 5]
        finally:
            await new.platform.server.stop("immediate")
            new.platform.state.close()


async def test_a_receiver_without_space_is_told_of_and_commits_go_on(
    protected: Protected, small_disk: Path
) -> None:
    """The disk of the second region is full.

    Lost: nothing; from then on a loss of the machine would cost what the archive has not.
    Seen: critical `zero_loss_degraded`; with space again, `sync`.
    """
    await protected.platform.server.stop()
    own = with_receiver(
        protected, mode=ZeroLossMode.SYNC, when_down=WhenDown.DEGRADE, degrade_after=timedelta(seconds=2)
    )
    text = own.home.config_file.read_text().replace(str(second_region(own.home)), str(small_disk / "received"))
    own.home.config_file.write_text(text)
    own.platform = Platform(own.home, {})
    await own.start()
    await own.platform.settle_roles()
    async with receiving(own):
        await eventually(is_in_mode(own, "sync"), what="commits wait for the receiver")
        filling = small_disk / "filling"
        with filling.open("wb") as file:
            try:
                while True:
                    file.write(b"x" * (1 << 20))
                    file.flush()
            except OSError:
                pass
        async with asyncio.timeout(60), await own.platform.server.target().connect() as connection:
            for _ in range(2):  # the next segment needs a file
                await connection.execute("set synchronous_commit = local")
                await connection.execute("select pg_create_restore_point('full'), pg_switch_wal()")
            await own.commit()
        await eventually(is_in_mode(own, "degraded"), what="it is told")
        filling.unlink()
        await eventually(is_in_mode(own, "sync"), what="commits wait again", within_s=90)


async def test_a_recovery_in_place_goes_on_without_the_receiver_and_it_follows_the_new_timeline(
    protected: Protected,
) -> None:
    """A recovery while commits wait for the receiver.

    Lost: nothing but what was to be taken back.
    Seen: the recovery ends as ever; WAL of the new timeline is received in a directory of its own.
    """
    own = await restart_with_receiver(protected, mode=ZeroLossMode.SYNC, when_down=WhenDown.WAIT)
    async with receiving(own):
        await eventually(is_in_mode(own, "sync"), what="commits wait for the receiver")
        await own.commit()
        moment = await own.moment()
        await own.commit()
        done = await own.recover(moment)
        assert done.timeline == 2
        assert await own.rows() == [1]
        async with asyncio.timeout(60):
            await own.commit()
        await eventually(
            lambda: any((second_region(own.home) / "00000002").glob("00000002*")),
            what="the new timeline is received",
        )
        await eventually(lambda: own.platform.server.waits_for == RECEIVER, what="commits wait for it again")
        async with asyncio.timeout(20):
            await own.commit()
        await own.undo()
        assert await own.rows() == [1, 2]


async def test_a_server_that_crashes_with_a_synchronous_receiver_loses_nothing(protected: Protected) -> None:
    """kill -9 of the server under load; it starts again on its own files, and commits wait as before.

    Lost: nothing that was acknowledged.
    Seen: `sync` again without anybody's doing.
    """
    own = await restart_with_receiver(protected, mode=ZeroLossMode.SYNC)
    async with receiving(own):
        await eventually(is_in_mode(own, "sync"), what="commits wait for the receiver")
        async with load(own, clients=CLIENTS, commits=COMMITS) as ledger:
            await eventually(lambda: len(ledger.acknowledged) > 200, what="clients write")
            await own.kill()
        await own.start()
        assert own.platform.server.waits_for == RECEIVER
        assert set(ledger.acknowledged) <= set(await own.rows())
        own.number = 9_000_000
        async with asyncio.timeout(30):
            await own.commit()


async def test_reads_behind_a_commit_that_waits_are_answered(protected: Protected) -> None:
    """Many requests share a connection of the gateway; one of them waits for a receiver that is away.

    Lost: nothing.
    Seen: reads are answered; the write is, when the receiver is back or is waited for no more.
    """
    own = await restart_with_receiver(protected, mode=ZeroLossMode.SYNC, when_down=WhenDown.WAIT)
    server = own.platform.server

    def work(text: bytes, *, read_only: bool) -> Work:
        asked = (Statement(text),)
        return Work(
            role="wedsync_owner", settings=(), statements=asked, read_only=read_only, statement_timeout_ms=9000
        )

    async with PipelinePool(server.target("wedsync_owner", "wedsync"), min_size=1, max_size=3) as pool:
        for _ in range(5):
            await pool.run(work(WRITE, read_only=False))
            await pool.run(work(b"select 1", read_only=True))
        await server.wait_for(RECEIVER)
        async with await server.target().connect() as connection:

            async def applied() -> bool:
                row = await (await connection.execute("show synchronous_standby_names")).fetchone()
                return row is not None and row[0] == RECEIVER

            await eventually(applied, what="commits wait")
        writing = asyncio.create_task(pool.run(work(WRITE, read_only=False)))
        async with asyncio.timeout(10):
            reads = await asyncio.gather(*(pool.run(work(b"select 1", read_only=True)) for _ in range(3)))
        assert [found[0].rows[0][0] for found in reads] == [b"1"] * 3
        assert not writing.done()
        await server.wait_for("")
        async with asyncio.timeout(10):
            await writing
