"""PostgreSQL's settings, sized to the machine."""

from datetime import timedelta

from wedsync.cluster.machine import Machine
from wedsync.config import Config

RESERVED_CONNECTIONS = 20
"""Connections that the application's roles never get: the keeper, backups, and people in an emergency."""
_SPARE_CONNECTIONS = 30
_MB = 1024 * 1024


def max_connections(config: Config) -> int:
    """Connections of the server: the application's pool, what is reserved, and room beside."""
    return max(100, config.database.pool.max_size + RESERVED_CONNECTIONS + _SPARE_CONNECTIONS)


def application_connections(config: Config) -> int:
    """Connections that the gateway's role may have at most."""
    return max_connections(config) - RESERVED_CONNECTIONS


def server_settings(machine: Machine, config: Config) -> dict[str, str]:
    """Settings for this machine and configuration; `cluster.settings` of the configuration win.

    Where the server is (port, sockets, certificates, log files, archive command) is not in here.
    """
    memory_mb = machine.memory_bytes // _MB
    connections = max_connections(config)
    shared_mb = _between(16, int(memory_mb * config.cluster.memory_share), 16 * 1024)
    sized = {
        "shared_buffers": f"{shared_mb}MB",
        "effective_cache_size": f"{max(shared_mb, memory_mb * 3 // 4)}MB",
        "work_mem": f"{_between(4, memory_mb // 4 // connections, 64)}MB",
        "maintenance_work_mem": f"{_between(16, memory_mb // 16, 1024)}MB",
        "max_connections": str(connections),
        "superuser_reserved_connections": "5",
        "max_worker_processes": str(max(8, machine.processors + 4)),
        "max_parallel_workers": str(machine.processors),
        "max_parallel_workers_per_gather": str(_between(0, machine.processors // 2, 4)),
        "max_parallel_maintenance_workers": str(_between(1, machine.processors // 2, 4)),
        "max_wal_size": "1GB" if memory_mb < 4096 else "4GB",
        "min_wal_size": "80MB" if memory_mb < 4096 else "256MB",
        "jit": _on(machine.llvm),
        # LZ4 first: WAL is compressed again, harder, on its way into the archive.
        "wal_compression": "lz4" if machine.lz4 else "zstd" if machine.zstd else "on",
        "default_toast_compression": "lz4" if machine.lz4 else "pglz",
    }
    return sized | _FIXED | _archiving(config) | config.cluster.settings


_FIXED = {
    # WAL and checkpoints: logical decoding, standbys and archiving need no restart later.
    "wal_level": "logical",
    "hot_standby": "on",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "track_commit_timestamp": "on",
    "checkpoint_timeout": "5min",  # bounds crash recovery
    "checkpoint_completion_target": "0.9",
    # Planner: solid-state storage.
    "random_page_cost": "1.1",
    "effective_io_concurrency": "200",
    # Clients. A session that asks for a shorter interval than the server's gets it from its next round on only:
    # so what a killed client of ours held is free after a second because the server itself asks that often.
    "client_connection_check_interval": "1s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "password_encryption": "scram-sha-256",
    "ssl": "on",
    "ssl_min_protocol_version": "TLSv1.3",
    # What the server counts.
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.max": "5000",
    "pg_stat_statements.track_planning": "off",
    "compute_query_id": "on",
    "track_io_timing": "on",
    "track_functions": "pl",
    # The log: what happened, without the values of anybody's rows. `terse` leaves out DETAIL, which
    # quotes whole rows ("Failing row contains ..."); statements that failed are named by SQLSTATE (%e).
    "log_min_duration_statement": "1s",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_line_prefix": "%m [%p] %q%u@%d %a %e ",
    "log_checkpoints": "on",
    "log_lock_waits": "on",
    "log_temp_files": "64MB",
    "log_autovacuum_min_duration": "10s",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # A file a day, by day of the month: a month is kept.
    "logging_collector": "on",
    "log_filename": "postgresql-%d.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "timezone": "UTC",
    "cluster_name": "wedsync",
}


def slot_room(disk_bytes: int) -> str:
    """`max_slot_wal_keep_size` for a disk of this size: a receiver that is away must not fill it.

    A quarter is a day's outage for most, and leaves the archive its own.
    """
    return f"{_between(512, disk_bytes // 4 // _MB, 64 * 1024)}MB"


def _archiving(config: Config) -> dict[str, str]:
    return {"archive_mode": "on", "archive_timeout": _seconds(config.backup.archive_timeout)}


def _seconds(duration: timedelta) -> str:
    return f"{max(1, round(duration.total_seconds()))}s"


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))


def _on(flag: bool) -> str:
    return "on" if flag else "off"


def as_conf(settings: dict[str, str]) -> str:
    """The settings as lines of a configuration file."""
    return "".join(f"{name} = {quoted(value)}\n" for name, value in sorted(settings.items()))


def quoted(value: str) -> str:
    """A value in the quotes of postgresql.conf (PostgreSQL manual, 20.1.2)."""
    if "\n" in value:
        raise ValueError("a setting's value has one line")
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
