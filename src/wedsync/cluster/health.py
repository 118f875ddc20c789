"""What the files of a home say: space, certificate, modes of secrets, the clock."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wedsync.cluster.engine import Engine
from wedsync.config import Home

_WAL_OF_A_DAY = 24 * 60 * 16 * 1024 * 1024 // 10  # a tenth: an archived segment of an idle minute is small


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeFacts:
    """What was seen of a home."""

    root: Path
    free_bytes: int
    wanted_bytes: int
    """Space that a restore beside the cluster and a day's WAL would take."""
    certificate_lasts: timedelta
    """Zero or less: there is none that is valid."""
    open_files: tuple[str, ...]
    """Secrets, keys and directories that other users may read."""
    newest_file_ahead: timedelta
    """How far the newest file's time is after now; a clock that was set back shows here."""
    installed_version: int | None = None
    """Version of the installed PostgreSQL, as `server_version_num`; the running one may be older."""
    pgbackrest_version: tuple[int, int] | None = None


def examine_home(home: Home, *, engine: Engine | None = None, now: datetime | None = None) -> HomeFacts:
    """Look at a home, and at the engine it uses; reads names, modes, times and the certificate, no secret."""
    moment = now or datetime.now(UTC)
    return HomeFacts(
        root=home.root,
        free_bytes=shutil.disk_usage(home.root).free,
        wanted_bytes=_size_of(home.pgdata) + _WAL_OF_A_DAY,
        certificate_lasts=_certificate_ends_at(home) - moment,
        open_files=tuple(_open_files(home)),
        newest_file_ahead=_newest_file(home, moment) - moment,
        installed_version=None if engine is None else _installed_version(engine),
        pgbackrest_version=None if engine is None else engine.pgbackrest_version,
    )


def _installed_version(engine: Engine) -> int | None:
    said = subprocess.run(
        [str(engine.program("postgres")), "--version"],
        env=engine.environment,
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    ).stdout
    match = re.search(r"(\d+)\.(\d+)", said)
    return None if match is None else int(match[1]) * 10000 + int(match[2])


def _size_of(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:  # the server works on
            continue
    return total


def _certificate_ends_at(home: Home) -> datetime:
    from cryptography import x509  # noqa: PLC0415 - 0.1 s, for doctor alone

    try:
        pem = (home.tls / "server.crt").read_bytes()
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc
    except (FileNotFoundError, ValueError):
        return datetime.fromtimestamp(0, UTC)


def _open_files(home: Home) -> list[str]:
    closed = [home.secrets, *home.secrets.glob("*"), *home.tls.glob("*.key")]
    closed += [home.pgbackrest_config, home.archive_config, home.state_db, home.pgdata]
    return [str(path) for path in closed if path.exists() and path.stat().st_mode & 0o077]


def _newest_file(home: Home, now: datetime) -> datetime:
    times = [
        datetime.fromtimestamp(path.stat().st_mtime, UTC)
        for path in (home.state_db, home.pgdata / "global/pg_control", home.pgdata / "postmaster.pid")
        if path.exists()
    ]
    return max([now, *times])
