"""Starting and stopping a cluster of ours, and the message for each thing in the way."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

import msgspec
import pytest

from support.clusters import ARCHIVE_NOWHERE, START, copy_cluster, make_cluster, remove_cluster, small_config
from support.events import eventually
from wedsync.cluster import Engine, Server, ServerState, initialise_cluster
from wedsync.config import Home, LocaleProvider
from wedsync.errors import (
    Busy,
    DataDirectoryProblem,
    ForeignServer,
    PortTaken,
    ServerFailed,
    ServerTimedOut,
    WrongVersion,
)


@pytest.fixture
def files(engine: Engine, template: Home, home: Home) -> Server:
    """A stopped cluster to spoil."""
    subprocess.run(["/bin/cp", "-a", template.pgdata, home.pgdata], check=True)
    return Server(engine=engine, home=home, config=small_config())


async def start(server: Server, **further: object) -> int:
    return await server.start(archive_command=ARCHIVE_NOWHERE, deadline=START, **further)  # type: ignore[arg-type]


async def test_a_cluster_made_from_nothing_has_checksums_utf8_icu_and_scram(engine: Engine, home: Home) -> None:
    server = await make_cluster(engine, home, small_config())
    try:
        async with await server.target(dbname="wedsync").connect() as connection:
            row = await (
                await connection.execute(
                    """
                    select current_setting('data_checksums'), pg_encoding_to_char(encoding), datlocprovider::text,
                           current_setting('password_encryption'), current_setting('wal_level'),
                           current_setting('archive_mode'), current_setting('track_commit_timestamp'),
                           pg_get_userbyid(datdba)::text
                      from pg_database where datname = current_database()
                    """
                )
            ).fetchone()
        assert row == ("on", "UTF8", "i", "scram-sha-256", "logical", "on", "on", "wedsync_owner")
        assert not await initialise_cluster(engine=engine, home=home, config=server.config)
    finally:
        await server.stop("immediate")


async def test_a_cluster_can_sort_by_code_point_instead(engine: Engine, home: Home) -> None:
    config = small_config()
    config = msgspec.structs.replace(
        config, cluster=msgspec.structs.replace(config.cluster, locale_provider=LocaleProvider.LIBC)
    )
    server = await make_cluster(engine, home, config)
    try:
        async with await server.target(dbname="wedsync").connect() as connection:
            row = await (await connection.execute("select 'Z' < 'a', lower('É')")).fetchone()
        assert row == (True, "é")
    finally:
        await server.stop("immediate")


async def test_what_an_interrupted_initdb_left_is_thrown_away(engine: Engine, home: Home) -> None:
    left = home.root / "pgdata.new.1"
    left.mkdir()
    (left / "PG_VERSION").write_text("15")
    assert await initialise_cluster(engine=engine, home=home, config=small_config(), durable=False)
    assert not left.exists()


async def test_a_directory_that_holds_something_else_is_left_alone(engine: Engine, home: Home) -> None:
    home.pgdata.mkdir()
    (home.pgdata / "letter.txt").write_text("dear")
    with pytest.raises(DataDirectoryProblem, match="holds something else"):
        await initialise_cluster(engine=engine, home=home, config=small_config())
    assert (home.pgdata / "letter.txt").exists()


async def test_starting_a_running_server_gives_its_pid(own_cluster: Server) -> None:
    pid = own_cluster.postmaster_pid()
    assert await start(own_cluster) == pid
    assert own_cluster.state() is ServerState.RUNNING


async def test_stopping_and_starting_again(own_cluster: Server) -> None:
    assert await own_cluster.stop()
    assert own_cluster.state() is ServerState.STOPPED
    assert not await own_cluster.ready()
    assert not await own_cluster.stop()
    await start(own_cluster)
    assert await own_cluster.ready()


async def test_without_a_data_directory_the_state_is_absent(files: Server, home: Home) -> None:
    home.pgdata.rename(home.root / "away")
    assert files.state() is ServerState.ABSENT
    with pytest.raises(DataDirectoryProblem, match="no data directory") as caught:
        await start(files)
    assert "recover run" in (caught.value.hint or "")


async def test_a_data_directory_of_another_version_is_named_with_both(files: Server, home: Home) -> None:
    (home.pgdata / "PG_VERSION").write_text("13\n")
    assert files.state() is ServerState.WRONG_VERSION
    with pytest.raises(WrongVersion, match="PostgreSQL 13, the server is PostgreSQL"):
        await start(files)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "is missing"), (b"short", "5 bytes of 8192"), (b"\0" * 8192, "CRC|match|WARNING|version")],
)
async def test_a_damaged_control_file_is_said_before_the_start(
    files: Server, home: Home, content: bytes | None, words: str
) -> None:
    control = home.pgdata / "global/pg_control"
    control.unlink()
    if content is not None:
        control.write_bytes(content)
    with pytest.raises(DataDirectoryProblem, match="pg_control") as caught:
        await start(files)
    assert any(word in (caught.value.detail or "") for word in words.split("|")), caught.value.detail


async def test_a_data_directory_open_to_others_is_refused_with_the_command_to_run(
    files: Server, home: Home
) -> None:
    home.pgdata.chmod(0o755)
    with pytest.raises(DataDirectoryProblem) as caught:
        await start(files)
    assert caught.value.hint == f"chmod 700 {home.pgdata}"


async def test_a_taken_port_names_its_holder_and_the_next_free_one(files: Server) -> None:
    port = files.config.cluster.port
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        with pytest.raises(PortTaken) as caught:
            await start(files)
    assert f"process {os.getpid()}" in (caught.value.detail or "")
    assert "set cluster.port = " in (caught.value.hint or "")


async def test_a_pid_file_of_a_dead_process_is_taken_away(files: Server, home: Home) -> None:
    _leave_pid_file(home, _ended_child(reaped=True))
    assert files.state() is ServerState.CRASHED
    await start(files)
    await files.stop("immediate")


async def test_a_pid_file_of_an_unreaped_process_is_taken_away(files: Server, home: Home) -> None:
    _leave_pid_file(home, _ended_child(reaped=False))
    assert files.state() is ServerState.CRASHED
    await start(files)
    await files.stop("immediate")


async def test_a_pid_file_that_names_another_living_process_is_taken_away(files: Server, home: Home) -> None:
    _leave_pid_file(home, os.getpid())
    assert files.state() is ServerState.FOREIGN
    assert files.postmaster_pid() is None
    await start(files)
    await files.stop("immediate")


async def test_an_empty_pid_file_is_taken_away(files: Server, home: Home) -> None:
    (home.pgdata / "postmaster.pid").touch()
    await start(files)
    await files.stop("immediate")


async def test_a_socket_that_another_server_has_is_not_taken(own_cluster: Server, engine: Engine) -> None:
    config = own_cluster.config
    elsewhere = msgspec.structs.replace(config.cluster, listen_addresses="127.0.0.2")
    other = Server(
        engine=engine,
        home=Home(own_cluster.home.root / "other"),
        config=msgspec.structs.replace(config, cluster=elsewhere),
    )
    other.home.root.mkdir()
    await initialise_cluster(engine=engine, home=other.home, config=other.config, durable=False)
    other.home.sockets.symlink_to(own_cluster.home.sockets)
    try:
        with pytest.raises(ForeignServer) as caught:
            await start(other)
    finally:
        other.home.sockets.unlink()
    assert str(own_cluster.home.pgdata) in (caught.value.detail or "")


async def test_a_wrong_setting_is_quoted_from_the_log(files: Server) -> None:
    with pytest.raises(ServerFailed) as caught:
        await start(files, overrides={"wal_level": "minimal"})
    assert "WAL archival cannot be enabled" in (caught.value.detail or "")


async def test_a_hold_asked_at_the_last_moment_keeps_it_down(files: Server) -> None:
    with pytest.raises(Busy) as caught:
        await start(files, hold=lambda: "a recovery runs")
    assert caught.value.detail == "a recovery runs"
    assert files.state() is ServerState.STOPPED


async def test_crash_recovery_past_the_deadline_goes_on_by_itself(own_cluster: Server) -> None:
    pid = own_cluster.postmaster_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # it answers nobody, as in a long recovery
    path = own_cluster.home.pgdata / "postmaster.pid"
    content = path.read_text()
    path.write_text(content.replace("ready   ", "starting"))
    with pytest.raises(ServerTimedOut):
        await own_cluster.start(archive_command=ARCHIVE_NOWHERE, deadline=START / 600)
    path.write_text(content)
    os.kill(pid, signal.SIGCONT)
    await eventually(own_cluster.ready)
    assert own_cluster.postmaster_pid() == pid


async def test_the_lines_of_crash_recovery_are_reported(own_cluster: Server, engine: Engine) -> None:
    async with await own_cluster.target("wedsync_owner", "wedsync").connect() as connection:
        await connection.execute(
            "create table filler as select g, repeat('x', 500) from generate_series(1, 20000) g"
        )
    pid = own_cluster.postmaster_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    lines: list[str] = []
    await eventually(lambda: own_cluster.state() is ServerState.CRASHED)
    await start(own_cluster, on_progress=lines.append)
    assert own_cluster.state() is ServerState.RUNNING


async def test_a_server_that_dies_while_it_is_waited_for_is_started(own_cluster: Server) -> None:
    pid = own_cluster.postmaster_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    starting = asyncio.create_task(start(own_cluster))
    await asyncio.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    assert await starting != pid


async def test_a_stop_that_takes_too_long_becomes_an_immediate_one(own_cluster: Server) -> None:
    connection = await own_cluster.target().connect()
    assert await own_cluster.stop("smart", deadline=START / 600)  # smart waits for this connection
    assert own_cluster.state() in {ServerState.STOPPED, ServerState.CRASHED}
    await connection.close()


async def test_a_home_with_a_long_path_has_its_socket_elsewhere(
    engine: Engine, template: Home, home: Home
) -> None:
    deep = Home(home.root / ("d" * 120))
    deep.root.mkdir()
    server = Server(engine=engine, home=deep, config=small_config())
    await copy_cluster(engine, template, deep, server.config)
    try:
        assert deep.sockets.parent.name == "tmp"
        assert deep.sockets.stat().st_mode & 0o777 == 0o700
        assert await server.ready()
    finally:
        await remove_cluster(server)


async def test_two_starts_at_once_make_one_server(files: Server) -> None:
    first, second = await asyncio.gather(start(files), start(files), return_exceptions=True)
    try:
        assert {first, second} & {files.postmaster_pid()}
        assert all(isinstance(item, int) for item in (first, second)), (first, second)
    finally:
        await files.stop("immediate")


def _leave_pid_file(home: Home, pid: int) -> None:
    (home.pgdata / "postmaster.pid").write_text(f"{pid}\n{home.pgdata}\n0\n0\n\n\n0 0\nready   \n")


def _ended_child(*, reaped: bool) -> int:
    """The pid of a process that has ended; not reaped, it still counts as there for kill(2)."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | (0 if reaped else os.WNOWAIT))
    return child.pid


async def test_a_recovery_under_a_smaller_configuration_gets_the_sizes_the_wal_was_written_with(
    own_cluster: Server,
) -> None:
    await own_cluster.stop()
    home = own_cluster.home
    smaller = {**own_cluster.config.cluster.settings, "max_connections": "60", "max_worker_processes": "4"}
    cluster = msgspec.structs.replace(own_cluster.config.cluster, settings=smaller)
    config = msgspec.structs.replace(own_cluster.config, cluster=cluster)
    server = Server(engine=own_cluster.engine, home=home, config=config)
    (home.pgdata / "recovery.signal").touch()
    await start(server, overrides={"restore_command": "/bin/false"})
    await eventually(lambda: not (home.pgdata / "recovery.signal").exists())
    await server.stop()
    await start(server)
    async with await server.target().connect() as connection:
        row = await (await connection.execute("select current_setting('max_connections')")).fetchone()
    assert row == ("60",)
