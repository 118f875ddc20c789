"""Which processes of a home run, each holding a lock file with its pid; and with which configuration."""

import hashlib
import json
import tomllib
from datetime import UTC, datetime

from wedsync.app.platform import Platform
from wedsync.config import Home, ZeroLossMode
from wedsync.process import FileLock, is_alive


def service_lock(platform: Platform, name: str) -> FileLock:
    """The lock that a running service holds; its holder is the service's process."""
    return FileLock(platform.home.run / f"{name}.lock", purpose=name)


def receives_here(platform: Platform) -> bool:
    """Whether a receiver of WAL runs on this machine."""
    settings = platform.config.backup.zero_loss
    return platform.is_local and settings.mode is not ZeroLossMode.OFF and settings.here


def running_pid(platform: Platform, name: str) -> int | None:
    """Pid of a service of this home, if it runs."""
    holder = service_lock(platform, name).holder()
    return holder.pid if holder is not None and holder.pid and is_alive(holder.pid) else None


def note_configuration(home: Home) -> None:
    """Note which configuration the processes that are now started have read."""
    (home.run / "configuration").write_text(_digest(home))


def configuration_changed_at(home: Home) -> datetime | None:
    """When the file was changed to say something else than what the running processes were started with."""
    noted = home.run / "configuration"
    if not noted.exists() or noted.read_text() == _digest(home):
        return None
    return datetime.fromtimestamp(home.config_file.stat().st_mtime, UTC)


def _digest(home: Home) -> str:
    """Of what the file says, not of how it is written: a comment changes nothing."""
    text = home.config_file.read_text(encoding="utf-8") if home.config_file.exists() else ""
    try:
        said = json.dumps(tomllib.loads(text), sort_keys=True, default=str)
    except tomllib.TOMLDecodeError:
        said = text  # somebody is at it, or it is broken: either way it is another one
    return hashlib.sha256(said.encode()).hexdigest()
