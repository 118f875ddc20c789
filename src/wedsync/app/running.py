"""Which processes of a home run: each holds a lock file with its pid."""

from wedsync.app.platform import Platform
from wedsync.config import ZeroLossMode
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
