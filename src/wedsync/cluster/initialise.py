"""Make a cluster: initdb beside its place, then one rename."""

import os
import shutil
import signal
from contextlib import suppress
from datetime import timedelta

from wedsync.cluster.datadir import processes_in, version_of
from wedsync.cluster.engine import Engine
from wedsync.cluster.secrets import sync_directory
from wedsync.config import Config, Home, LocaleProvider
from wedsync.errors import DataDirectoryProblem, DiskFull, ProgramFailed
from wedsync.process import run

_INCLUDE = """
# Settings of the platform, written at each start. ALTER SYSTEM still wins over them.
include 'wedsync.conf'
"""
_DEADLINE = timedelta(minutes=5)
_DRAFT = "pgdata.new."


async def initialise_cluster(*, engine: Engine, home: Home, config: Config, durable: bool = True) -> bool:
    """Make the data directory if there is none; whether it was made.

    With data checksums, UTF-8, scram and the collation of the configuration. What an interrupted attempt
    left is thrown away; a data directory that is there is never touched. Settings and access files come
    with each start of the server. `durable=False` spares the fsyncs: for tests.
    """
    if version_of(home.pgdata) is not None:
        return False
    if home.pgdata.exists() and any(home.pgdata.iterdir()):
        raise DataDirectoryProblem(
            "the place of the data directory holds something else",
            detail=f"{home.pgdata} is not empty and has no PG_VERSION",
            hint="move it away, or take the cluster back: wedsync recover run --to latest",
        )
    _remove_drafts(home)
    draft = home.root / f"{_DRAFT}{os.getpid()}"
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        finished = await run(
            [
                engine.program("initdb"),
                *("--pgdata", draft),
                *("--username", "postgres"),
                "--data-checksums",
                "--encoding=UTF8",
                *_locale_options(config),
                "--auth-local=peer",
                "--auth-host=scram-sha-256",
                "--no-instructions",
                *(() if durable else ("--no-sync",)),
            ],
            deadline=_DEADLINE,
            env=engine.environment,
        )
        finished.check(hint="wedsync doctor looks at space, rights and the engine")
    except ProgramFailed as error:
        full = [part for part in (error.detail or "").split(" / ") if "No space left on device" in part]
        if full:
            raise DiskFull(
                "the disk is full: no cluster was made",
                detail=full[0],
                hint=f"free space for {home.root}, or choose another --home",
            ) from error
        raise
    with (draft / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(_INCLUDE)
    (draft / "wedsync.conf").touch(mode=0o600)
    if home.pgdata.exists():
        home.pgdata.rmdir()
    if durable:
        sync_directory(draft)
    draft.rename(home.pgdata)
    sync_directory(home.root)
    _remove_drafts(home)
    return True


def _remove_drafts(home: Home) -> None:
    """Remove what earlier attempts left; an initdb that outlived its caller ends when its server is gone."""
    for draft in home.root.glob(f"{_DRAFT}*"):
        for pid in processes_in(draft):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(draft, ignore_errors=True)


def _locale_options(config: Config) -> list[str]:
    """Text sorts by ICU, or by code point; messages and the rest are C, character classes UTF-8's."""
    common = ["--locale=C", "--lc-ctype=C.UTF-8"]
    match config.cluster.locale_provider:
        case LocaleProvider.ICU:
            return [*common, "--locale-provider=icu", f"--icu-locale={config.cluster.locale}"]
        case LocaleProvider.LIBC:
            return [*common, "--locale-provider=libc"]
