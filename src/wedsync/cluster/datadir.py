"""What a data directory says about itself: whose it is, which version, and whether a server has it."""

import os
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from wedsync.errors import DataDirectoryProblem, WrongVersion
from wedsync.process import is_alive


class ServerState(StrEnum):
    """What can be said of a server by its files and processes."""

    RUNNING = "running"
    STARTING = "starting"
    """Started, or replaying WAL; not yet taking connections."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    CRASHED = "crashed"
    """The pid file names a process that is gone."""
    FOREIGN = "foreign"
    """The pid file names a process that is not this data directory's server."""
    ABSENT = "absent"
    """There is no data directory."""
    WRONG_VERSION = "wrong_version"


@dataclass(frozen=True, slots=True, kw_only=True)
class PidFile:
    """What a postmaster writes about itself (src/include/utils/pidfile.h)."""

    pid: int
    data_directory: str
    status: str
    """`starting`, `stopping`, `ready`, `standby`; empty in the lock file of a socket."""


def read_pid_file(path: Path) -> PidFile | None:
    """The pid file or socket lock file; `None` if there is none, or it is still empty."""
    try:
        lines = path.read_text(errors="surrogateescape").splitlines()
        pid = abs(int(lines[0]))  # a standalone backend writes its pid negated
    except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
        return None
    return PidFile(
        pid=pid,
        data_directory=lines[1] if len(lines) > 1 else "",
        status=lines[7].strip() if len(lines) > 7 else "",
    )


def version_of(pgdata: Path) -> int | None:
    """Major version of the data directory; `None` if there is none."""
    try:
        return int((pgdata / "PG_VERSION").read_text().strip())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise DataDirectoryProblem(
            "the data directory's PG_VERSION is damaged",
            detail=str(pgdata / "PG_VERSION"),
            hint="restore it from a backup: wedsync recover run --to latest",
        ) from error


def is_server_of(pid: int, pgdata: Path) -> bool | None:
    """Whether the process is a PostgreSQL working in `pgdata`; `None` when it cannot be known.

    A server's working directory is its data directory, also after that was deleted. Another user's
    process does not show its own (proc(5)).
    """
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return False
    if name not in {"postgres", "postmaster"} or not is_alive(pid):
        return False
    try:
        working = str(Path(f"/proc/{pid}/cwd").readlink())
    except PermissionError:
        return None
    except OSError:
        return False
    return working.removesuffix(" (deleted)") == os.path.realpath(pgdata)


def processes_in(pgdata: Path) -> list[int]:
    """All PostgreSQL processes of ours that work in `pgdata`: also backends whose postmaster was killed."""
    return sorted(
        pid
        for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        if is_server_of(pid, pgdata)
    )


def holds_socket(pid: int, path: Path) -> bool:
    """Whether the process has the unix socket that was bound to `path` (also if the file is gone)."""
    with suppress(OSError):
        held = {str(descriptor.readlink()) for descriptor in Path(f"/proc/{pid}/fd").iterdir()}
        for line in Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines():
            words = line.split(maxsplit=7)
            if len(words) == 8 and words[7] == str(path) and f"socket:[{words[6]}]" in held:
                return True
    return False


def reap(pid: int) -> None:
    """Take note of the end of a child of ours, so that its pid is free; harmless for any other process."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def check_data_directory(pgdata: Path, *, version: int, user_id: int) -> None:
    """Raise what would keep PostgreSQL from starting here: absent, other version, owner, mode, pg_control."""
    found = version_of(pgdata)
    if found is None:
        raise DataDirectoryProblem(
            "there is no data directory",
            detail=f"{pgdata} holds no PG_VERSION",
            hint="bin/up makes one; if it was lost, take it back: wedsync recover run --to latest",
        )
    if found != version:
        raise WrongVersion(
            f"the data directory is of PostgreSQL {found}, the server is PostgreSQL {version}",
            detail=str(pgdata),
            hint=f"install postgresql-{found}, or move to {version} with pg_upgrade",
        )
    about = pgdata.stat()
    if about.st_uid != user_id:
        raise DataDirectoryProblem(
            "the data directory belongs to another user",
            detail=f"{pgdata} belongs to user {about.st_uid}, we are user {user_id}",
            hint=f"chown -R {user_id} {pgdata}",
        )
    if about.st_mode & 0o027:
        raise DataDirectoryProblem(
            "the data directory is open to other users",
            detail=f"{pgdata} has mode {about.st_mode & 0o777:04o}; PostgreSQL wants 0700 or 0750",
            hint=f"chmod 700 {pgdata}",
        )
    control = pgdata / "global/pg_control"
    size_bytes = control.stat().st_size if control.exists() else None
    if size_bytes != 8192:
        raise DataDirectoryProblem(
            "pg_control is missing or damaged: without it no server starts",
            detail=f"{control} " + ("is missing" if size_bytes is None else f"has {size_bytes} bytes of 8192"),
            hint="restore from a backup: wedsync recover run --to latest",
        )
