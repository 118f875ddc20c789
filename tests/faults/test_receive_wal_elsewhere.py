"""WAL received on another host: over TLS, through a network that is cut."""

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path

from support.events import eventually
from support.recoveries import Protected
from support.relay import Way, relay
from wedsync.app import Platform, receive_wal
from wedsync.cluster import RECEIVER_ROLE
from wedsync.zero_loss import received_segments


async def test_wal_is_received_over_tls_and_again_behind_a_cut_of_the_network(
    protected: Protected, tmp_path: Path
) -> None:
    """The receiver is elsewhere (`wedsync receive-wal`), verifies the server, and the network swallows everything.

    Lost: nothing: commits go on by the archive alone, as `when_down` says.
    Seen: critical `zero_loss_degraded`; with the network back, `sync` again, and each commit there.
    """
    home = protected.home
    await protected.platform.server.stop()
    directory = tmp_path / "elsewhere"
    words = (
        '\n[backup.zero_loss]\nmode = "sync"\nhere = false\nwhen_down = "degrade"\n'
        f'degrade_after = "2s"\ndirectory = "{directory}"\n'
    )
    home.config_file.write_text(home.config_file.read_text() + words)
    protected.platform.state.close()
    protected.platform = Platform(home, {})
    await protected.start()
    await protected.platform.settle_roles()
    platform = protected.platform
    ca = shutil.copy(home.ca_certificate, tmp_path / "ca.crt")
    password = platform.secrets.read(RECEIVER_ROLE)
    system_id = (await platform.surveyor.survey()).archives[0].system_id

    def is_in_mode(mode: str) -> bool:
        row = platform.state.row("select mode from exposure order by at desc limit 1")
        return row is not None and row["mode"] == mode

    async with relay(platform.config.cluster.port) as way:
        dsn = (
            f"postgresql://{RECEIVER_ROLE}:{password}@localhost:{way.port}/postgres"
            f"?sslmode=verify-full&sslrootcert={ca}"
        )
        tasks = [
            asyncio.create_task(receive_wal(dsn, directory, keep=timedelta(hours=1), environment={})),
            asyncio.create_task(platform.zero_loss_service().run()),
        ]
        try:
            await eventually(lambda: is_in_mode("sync"), what="commits wait for it")
            async with asyncio.timeout(10):
                await protected.commit()
            async with await platform.server.target().connect() as connection:
                row = await (
                    await connection.execute(
                        "select ssl from pg_stat_ssl join pg_stat_replication using (pid)"
                        " where application_name = 'wedsync_receiver'"
                    )
                ).fetchone()
            assert row == (True,)
            await way.set(Way.BLACK_HOLE)
            async with asyncio.timeout(30):
                await protected.commit()
            await eventually(lambda: is_in_mode("degraded"), what="it is told")
            await way.set(Way.OPEN)
            await eventually(lambda: is_in_mode("sync"), what="commits wait again", within_s=60)
            async with asyncio.timeout(10):
                await protected.commit()
            assert received_segments(directory, system_id=system_id)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
