"""What is looked at before a recovery changes anything: whose the files are, and whether there is room."""

import os
import shutil
from pathlib import Path

from wedsync.cluster import Server, ServerState, read_control
from wedsync.cluster.datadir import is_server_of, read_pid_file
from wedsync.errors import DataDirectoryProblem, RecoveryFailed, RecoveryRefused
from wedsync.recovery.ground import server_state
from wedsync.recovery.plan import Present, RecoveryPlan

_SPARE_BYTES = 128 * 1024 * 1024


async def preflight(server: Server, plan: RecoveryPlan) -> None:
    """Raise `RecoveryRefused` for what would make the recovery fail, or destroy what is not this cluster's."""
    pgdata, root = server.home.pgdata, server.home.root
    noted = read_pid_file(pgdata / "postmaster.pid")
    if noted is not None and is_server_of(noted.pid, pgdata) is None:
        raise RecoveryRefused(
            "a PostgreSQL of another user may be at work in the data directory",
            detail=f"postmaster.pid names process {noted.pid}, which does not show where it works",
            hint="stop that server first, or remove the file if it is none",
        )
    if server_state(server) is ServerState.WRONG_VERSION:
        raise RecoveryRefused(
            f"the data directory is not of PostgreSQL {server.engine.postgresql_version}: it is not replaced",
            detail=f"its PG_VERSION says {(pgdata / 'PG_VERSION').read_text().strip()}",
            hint=f"if it is not needed any more, move it away: mv {pgdata} {pgdata}.old",
        )
    found = await _system_id(server)
    if found not in {None, plan.base.system_id}:
        raise RecoveryRefused(
            "the data directory is of another cluster than the backups: it is not replaced",
            detail=f"its system identifier is {found}, the backups' is {plan.base.system_id}",
            hint=f"if it is not needed any more, move it away: mv {pgdata} {pgdata}.old",
        )
    aside = plan.present is Present.ASIDE
    there = directory_bytes(pgdata) if serves_delta(pgdata) and not aside else 0
    free = shutil.disk_usage(root).free
    needed = max(0, plan.base.database_bytes - there) + _SPARE_BYTES
    if free < needed:
        raise RecoveryRefused(
            "there is not enough space for the restored files beside the present ones, which no backup leads to"
            if aside
            else "there is not enough space for the restored files",
            detail=f"{free / 1e6:.0f} MB are free, {needed / 1e6:.0f} MB are needed"
            f" ({plan.base.database_bytes / 1e6:.0f} MB, {there / 1e6:.0f} MB of it are there)",
            hint="free space on the file system of the home, then run the command again"
            + ("; or start the server and take a backup first: wedsync backup run" if aside else ""),
        )


async def _system_id(server: Server) -> str | None:
    """Whose the files are; `None` where a damaged or missing pg_control does not say."""
    if not (server.home.pgdata / "global/pg_control").exists():
        return None
    try:
        control = await read_control(server.engine, server.home.pgdata)
    except DataDirectoryProblem:
        return None
    return control.get("Database system identifier")


def directory_bytes(directory: Path) -> int:
    """Bytes of all files below a directory; 0 if there is none."""
    total = 0
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                total += (Path(root) / name).lstat().st_size
            except FileNotFoundError:
                continue
    return total


def is_untouched(pgdata: Path) -> bool:
    """Whether pgBackRest failed before it changed a file.

    It removes pg_control first of all and puts it back last of all (seen with strace, 2.45); in between there is
    `backup.manifest`, too.
    """
    return (pgdata / "global/pg_control").exists() and not (pgdata / "backup.manifest").exists()


def delta_ground(pgdata: Path, aside: Path, *, version: int) -> bool:
    """Whether a delta restore can be made into `pgdata`, which is put right for it.

    The server must have been stopped. What is left of a cluster serves, also without PG_VERSION, which
    pgBackRest asks for; the pid file of a server that was killed, which it takes for a running one, goes. What is
    no cluster is moved into `aside`, not removed.
    """
    (pgdata / "postmaster.pid").unlink(missing_ok=True)
    if not pgdata.is_dir() or not any(pgdata.iterdir()):
        return False
    if serves_delta(pgdata):
        if not any((pgdata / name).exists() for name in ("PG_VERSION", "backup.manifest")):
            (pgdata / "PG_VERSION").write_text(f"{version}\n")
        return True
    number = 1
    while (aside / f"pgdata.remains.{number}").exists():
        number += 1
    move_aside(pgdata, aside / f"pgdata.remains.{number}")
    return False


def serves_delta(pgdata: Path) -> bool:
    """Whether what is in `pgdata` is left of a cluster, so that a restore may use it."""
    return any((pgdata / name).exists() for name in ("PG_VERSION", "backup.manifest")) or all(
        (pgdata / name).is_dir() for name in ("base", "global")
    )


def move_aside(pgdata: Path, to: Path) -> None:
    """Move the data directory. Raises `RecoveryFailed` where it cannot be moved, such as a mount point."""
    to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        pgdata.rename(to)
    except OSError as error:
        raise RecoveryFailed(
            "the data directory cannot be put aside",
            detail=str(error),
            hint=f"move what is in {pgdata} away by hand, then run the command again",
        ) from error
