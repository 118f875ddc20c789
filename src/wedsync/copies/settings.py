"""How a copy's server is configured: on its own, small, and never archiving."""

from collections.abc import Mapping
from typing import assert_never

from msgspec.structs import replace

from wedsync.backup import RestoreTarget, TargetKind
from wedsync.config import Config
from wedsync.copies.effort import Effort

ARCHIVE_COMMAND = "/bin/false"
"""Were `archive_mode` ever on in a copy, nothing would leave it."""
_PORT = 5432
"""Part of its socket's name; nothing listens on TCP."""
_MB = 1024 * 1024


def copy_config(config: Config, *, effort: Effort, restore_command: str, target: RestoreTarget) -> Config:
    """The configuration of a copy's server, made from the home's.

    What the cluster needs for its own content (libraries to preload) stays as in `cluster.settings`.
    """
    libraries = config.cluster.settings.get("shared_preload_libraries", "")
    settings = {
        "shared_preload_libraries": libraries,
        "restore_command": restore_command,
        "archive_mode": "off",
        "archive_timeout": "0",
        "primary_conninfo": "",
        "hot_standby": "on",
        "shared_buffers": f"{max(16, effort.memory_bytes // _MB)}MB",
        "effective_cache_size": f"{max(64, 4 * effort.memory_bytes // _MB)}MB",
        "maintenance_work_mem": "32MB",
        "work_mem": "8MB",
        "max_parallel_workers_per_gather": str(max(0, effort.processes - 1)),
        "max_parallel_maintenance_workers": str(max(0, effort.processes - 1)),
        "max_wal_size": "256MB",
        "min_wal_size": "32MB",
        "autovacuum": "off",
        # Nothing in a copy has to outlive a crash of the machine: it is made again.
        "synchronous_standby_names": "",
        "huge_pages": "off",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "jit": "off",
        "lock_timeout": "60s",  # a paused replay gives no lock back: whoever waited would wait for ever
        "track_io_timing": "off",
        "log_min_duration_statement": "-1",
        "cluster_name": "wedsync copy",
    }
    return apart(config, {**settings, **recovery_settings(target)})


def apart(config: Config, settings: Mapping[str, str] | None = None) -> Config:
    """The configuration of a server that shares nothing with the home's: it is reached by its socket only."""
    cluster = replace(config.cluster, port=_PORT, listen_addresses="", settings=dict(settings or {}))
    return replace(config, cluster=cluster)


def recovery_settings(target: RestoreTarget) -> Mapping[str, str]:
    """Where replay stops (PostgreSQL manual, 20.5.6); a copy waits there and never goes on by itself."""
    stops: dict[str, str]
    match target.kind:
        case TargetKind.TIME | TargetKind.NAME | TargetKind.LSN:
            stops = {f"recovery_target_{target.kind}": target.value()}
        case TargetKind.IMMEDIATE:
            stops = {"recovery_target": "immediate"}
        case TargetKind.DEFAULT:
            raise ValueError("a copy has a target: at the end of the WAL a server would take writes")
        case _:
            assert_never(target.kind)
    stops["recovery_target_inclusive"] = "off" if target.exclusive else "on"
    timeline = str(target.timeline) if target.timeline is not None else "latest"
    return stops | {"recovery_target_timeline": timeline, "recovery_target_action": "pause"}
