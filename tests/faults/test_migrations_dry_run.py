"""A dry run that is killed: its shadow is gone after the next one, and the database never noticed."""

import os
import signal
import sys
from pathlib import Path

from support.databases import fresh_database
from support.events import eventually
from support.shadows import shadow_maker
from wedsync.cluster import Server
from wedsync.migrations import Conditions, dry_run, read_fingerprint, up
from wedsync.process import spawn_detached, wait_for_exit

_SOURCE = Path(__file__).parents[2] / "src"
_CHILD = """
import asyncio, sys
from pathlib import Path
from wedsync.cluster import find_engine
from wedsync.config import Home
from wedsync.database import ConnectionTarget
from wedsync.migrations import Conditions, ShadowMaker, dry_run

home, host, port, name, directory = sys.argv[1:]
target = ConnectionTarget(host=host, port=int(port), dbname=name, user="wedsync_owner")
admin = ConnectionTarget(host=host, port=int(port), dbname=name, user="postgres")
engine = find_engine(Home(Path(home)))
maker = ShadowMaker(admin=admin, pg_dump=engine.program("pg_dump"), psql=engine.program("psql"),
                    environment=engine.environment)
asyncio.run(dry_run(target, maker, directory=Path(directory), conditions=Conditions()))
"""


async def test_after_kill_9_the_next_dry_run_tidies_up(cluster: Server, tmp_path: Path) -> None:
    """Lost: nothing: the database never noticed.
    Seen: the shadow is gone after the next dry run.
    """
    versions = tmp_path / "versions"
    versions.mkdir()
    for stem, text in {"0001_a": "create table public.a (id int);", "0002_b": "select pg_sleep(600);"}.items():
        (versions / f"{stem}.sql").write_text(text)
        (versions / f"{stem}.rollback.sql").write_text("drop table public.a;")
    first = tmp_path / "first"
    first.mkdir()
    for file in versions.glob("0001*"):
        (first / file.name).write_text(file.read_text())
    async with fresh_database(cluster) as target:
        maker = shadow_maker(cluster, target)
        await up(target, directory=first, conditions=Conditions())
        before = await read_fingerprint(target)

        async def shadows() -> list[str]:
            async with await maker.admin.connect() as admin:
                rows = await admin.execute(
                    "select datname::text from pg_database where shobj_description(oid, 'pg_database') like %s",
                    (f'%"of":"{target.dbname}"%',),
                )
                return [row[0] for row in await rows.fetchall()]

        async def sleeps() -> bool:
            async with await maker.admin.connect() as admin:
                rows = await admin.execute(
                    "select from pg_stat_activity where datname = any(%s) and query like '%%pg_sleep(600)%%'",
                    (await shadows(),),
                )
                return rows.rowcount == 1

        pid = spawn_detached(
            [
                sys.executable,
                "-P",
                "-c",
                _CHILD,
                cluster.home.root,
                target.host,
                str(target.port),
                target.dbname,
                versions,
            ],
            log=tmp_path / "child.txt",
            env={**os.environ, "PYTHONPATH": str(_SOURCE)},
        )
        await eventually(sleeps, what=(tmp_path / "child.txt").read_text())
        killed = await shadows()
        os.kill(pid, signal.SIGKILL)
        await wait_for_exit(pid)
        assert killed == await shadows(), "nobody has tidied up yet"

        async def locks_are_gone() -> bool:
            async with await maker.admin.connect() as admin:
                rows = await admin.execute("select from pg_locks where locktype = 'advisory'")
                return rows.rowcount == 0

        await eventually(locks_are_gone, within_s=5)
        (versions / "0002_b.sql").write_text("create table public.b ();")
        done = await dry_run(target, maker, directory=versions, conditions=Conditions())
        assert [file.file.id for file in done.files] == ["0002_b"]
        assert await shadows() == []
        assert (await read_fingerprint(target)).digest == before.digest
