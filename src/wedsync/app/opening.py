"""Open a home for `up`: nothing is written before flags, ports and rights are known to be good."""

import errno
from collections.abc import Mapping
from contextlib import suppress

from wedsync.app.platform import Platform
from wedsync.app.running import running_pid, service_lock
from wedsync.cluster import ServerState, require_free_port
from wedsync.config import Home
from wedsync.errors import ConfigProblem, HomeProblem, UsageProblem
from wedsync.process import FileLock


def check_flags(platform: Platform, flags: Mapping[str, object]) -> None:
    """Refuse flags that differ from what the home was made with."""
    values = {setting.name: setting for setting in platform.loaded.settings}
    for name, value in flags.items():
        if values[name].value != value:
            raise ConfigProblem(
                f"this home has {name} = {values[name].value}, not {value}",
                detail=f"from {values[name].origin}",
                hint=f"leave the flag out, or change it in {platform.home.config_file.name} after wedsync down",
            )


def require_free_ports(platform: Platform, *, new: bool) -> None:
    """`PortTaken`, with the next free one, if somebody else listens where gateway or PostgreSQL want to."""
    gateway, cluster = platform.config.gateway, platform.config.cluster
    if platform.is_local and gateway.port == cluster.port:
        raise UsageProblem(
            f"port {gateway.port} is given to the gateway and to PostgreSQL", hint="choose two: --port, --db-port"
        )
    if running_pid(platform, "gateway") is None:
        require_free_port(
            gateway.port, addresses=[gateway.host], setting="--port" if new else "gateway.port in wedsync.toml"
        )
    ours = platform.is_local and platform.server.postmaster_pid() is not None
    if platform.is_local and not ours and platform.server.state() is not ServerState.FOREIGN:
        require_free_port(
            cluster.port,
            addresses=[word.strip() for word in cluster.listen_addresses.split(",") if word.strip()],
            setting="--db-port" if new else "cluster.port in wedsync.toml",
        )


def write_first_config(platform: Platform) -> bool:
    """Write the configuration file of a new home, as it was asked for; whether it was written.

    A home that has one keeps it. Raises `HomeProblem` where nothing can be written.
    """
    home, config = platform.home, platform.config
    if home.config_file.exists():
        return False
    text = f"""\
# The configuration of this home. Every setting, its value and its origin: wedsync config show
profile = "{config.profile}"
environment = "{config.environment}"

[cluster]
port = {config.cluster.port}

[gateway]
port = {config.gateway.port}
"""
    draft = home.config_file.with_suffix(".new")
    try:
        home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.write_text(text)
        draft.chmod(0o600)
        draft.rename(home.config_file)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise HomeProblem(
            f"nothing can be written to {home.root}",
            detail=str(error),
            hint="choose another --home, or run this as the directory's owner",
        ) from error
    return True


def close_home(home: Home) -> None:
    """Keep other users out of the home, also out of a directory that was there before and open to them."""
    mode = home.root.stat().st_mode
    if not mode & 0o077:
        return
    try:
        home.root.chmod(0o700)
    except OSError as error:
        raise HomeProblem(
            f"other users can look into {home.root}, and that cannot be changed",
            detail=f"mode {mode & 0o777:04o}; {error}",
            hint="choose another --home, or run this as the directory's owner",
        ) from error


def setup_lock(platform: Platform) -> FileLock:
    """Held by `up` until its services run: two of them would get in each other's way."""
    return service_lock(platform, "setup")
