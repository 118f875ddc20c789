"""Which features a PostgreSQL allows, why not the others, and what to run to get them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from os import X_OK
from os import access as may_access
from pathlib import Path

from psycopg.rows import DictRow, dict_row

from wedsync.cluster.health import HomeFacts
from wedsync.cluster.poolers import SAFE_PGBOUNCER, find_pooler, has_known_holes
from wedsync.cluster.roles import ROLES
from wedsync.database import ConnectionTarget
from wedsync.sql import statements

OLDEST = 15
SAFE_MINORS = {15: 14, 16: 10, 17: 6, 18: 0}
"""Oldest minor release of each major version without known holes (release of 14 August 2025)."""
ISOLATING_MINORS = {15: 14, 16: 10, 17: 6, 18: 0}
"""First minor release whose row-level security has no known leak (CVE-2025-8713, 14 August 2025)."""
_SETTINGS = (
    *("wal_level", "archive_mode", "archive_timeout", "archive_command", "archive_library"),
    *("data_checksums", "data_directory", "track_commit_timestamp", "shared_preload_libraries"),
    *("password_encryption", "max_replication_slots", "max_wal_senders", "ssl", "ssl_min_protocol_version"),
    *("fsync", "full_page_writes", "server_encoding"),
)
_PREDEFINED = ("pg_monitor", "pg_read_all_settings", "pg_read_all_stats", "pg_checkpoint")
_BACKUP_CALLS = (
    *("pg_backup_start(text,boolean)", "pg_backup_stop(boolean)"),
    *("pg_switch_wal()", "pg_create_restore_point(text)"),
)
_CLOCK_MAY_DIFFER = timedelta(seconds=2)
_RESTART = "restart PostgreSQL"
_ANY_ARCHIVE_COMMAND = "pgbackrest --config=… --stanza=… archive-push %p"
_NEWER_PGBACKREST = {
    (2, 46): "block incremental and SFTP",
    (2, 56): "the progress of a restore",
    (2, 59): "asynchronous fetching across timelines",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was seen of a server through one connection, and of its files from this host."""

    version: int
    """As `server_version_num`: 150018 is 15.18."""
    role: str
    superuser: bool
    replication: bool = False
    bypass_rls: bool = False
    in_recovery: bool = False
    may_create_schemas: bool = False
    local_socket: bool = False
    tls: bool = False
    tls_version: str = ""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Those that this role may see."""
    predefined_roles: frozenset[str] = frozenset()
    platform_roles: frozenset[str] = frozenset()
    callable_functions: frozenset[str] = frozenset()
    extensions: Mapping[str, bool] = field(default_factory=dict[str, bool])
    """Extensions that are there, and whether they are installed in this database."""
    data_directory_here: bool | None = None
    """Whether the data directory can be read on this host; None: its place is not known."""
    clock_ahead: timedelta = timedelta(0)
    """How far the server's clock is ahead of ours."""
    pooler: str | None = None
    """What is between us and the server, such as `PgBouncer 1.18.0`."""
    home: HomeFacts | None = None
    """What the platform's own home shows (profile `local`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One feature: whether it can be had, why (not), and what to run, line by line, to get it."""

    feature: str
    available: bool
    because: str
    remedy: tuple[str, ...] = ()


async def examine(target: ConnectionTarget, *, home: HomeFacts | None = None) -> Facts:
    """Look at a server through `target`, whatever the rights there; changes nothing.

    Raises `CannotConnect`.
    """
    sql = statements("cluster")
    async with await target.connect() as connection:
        asked_at = datetime.now(UTC)
        row = await (await connection.cursor(row_factory=dict_row).execute(sql["facts"])).fetchone()
        seen: DictRow = row or {}
        took = datetime.now(UTC) - asked_at

        async def names(statement: str, **values: list[str]) -> list[tuple[object, ...]]:
            return await (await connection.execute(sql[statement], values)).fetchall()

        settings = {str(k): str(v) for k, v in await names("visible_settings", names=[*_SETTINGS])}
        return Facts(
            version=seen["version"],
            role=seen["role"],
            superuser=seen["superuser"],
            replication=seen["replication"],
            bypass_rls=seen["bypass_rls"],
            in_recovery=seen["in_recovery"],
            may_create_schemas=seen["may_create_schemas"],
            local_socket=target.is_local_socket,
            tls=seen["tls"],
            tls_version=seen["tls_version"],
            settings=settings,
            predefined_roles=frozenset(str(r[0]) for r in await names("predefined_roles", names=[*_PREDEFINED])),
            platform_roles=frozenset(str(r[0]) for r in await names("platform_roles", names=[*ROLES])),
            callable_functions=frozenset(
                str(r[0]) for r in await names("callable_functions", signatures=[*_BACKUP_CALLS])
            ),
            extensions={
                str(name): bool(installed)
                for name, installed in await names("extensions", names=["pg_stat_statements", "pgcrypto"])
            },
            data_directory_here=_is_readable_here(settings.get("data_directory")),
            clock_ahead=seen["now"] - (asked_at + took / 2),
            pooler=await find_pooler(connection, target),
            home=home,
        )


def _is_readable_here(data_directory: str | None) -> bool | None:
    if data_directory is None:
        return None
    directory = Path(data_directory)
    return may_access(directory, X_OK) and may_access(directory / "global/pg_control", 4)


def capabilities(facts: Facts, *, archive_command: str | None = None) -> list[Capability]:
    """Every feature with its verdict, the most basic first.

    `archive_command` is the one that would archive to this home's repositories, for the remedy.
    """
    found = [
        _version(facts),
        _minor(facts),
        _isolation(facts),
        _encryption(facts),
        _passwords(facts),
        _monitoring(facts),
        _statement_statistics(facts),
        _schema(facts),
        _roles(facts),
        _restore_points(facts),
        _backup_rights(facts),
        _files(facts),
        _archiving(facts, archive_command or _ANY_ARCHIVE_COMMAND),
        _change_feed(facts),
        _durability(facts),
        _checksums(facts),
        _commit_times(facts),
        _clock(facts),
    ]
    if facts.pooler is not None:
        found.append(_pooler(facts.pooler))
    if facts.home is not None:
        found += [*_of_engine(facts.version, facts.home), *home_capabilities(facts.home)]
    return found


def _version(facts: Facts) -> Capability:
    major = facts.version // 10000
    return Capability(
        feature="supported version",
        available=major >= OLDEST,
        because=f"PostgreSQL {_shown(facts.version)}; {OLDEST} or newer is needed",
        remedy=() if major >= OLDEST else (f"pg_upgrade to {OLDEST} or newer",),
    )


def _pooler(pooler: str) -> Capability:
    holes = has_known_holes(pooler)
    safe = ".".join(map(str, SAFE_PGBOUNCER))
    judged = {
        None: f"known holes of PgBouncer are closed from {safe} on; its version could not be asked",
        True: f"CVE-2026-107350 and others: known holes are closed from {safe} on",
        False: f"known holes are closed from {safe} on",
    }
    return Capability(
        feature="safe pooler",
        available=holes is False,
        because=f"{pooler} is in between; {judged[holes]}",
        remedy=()
        if holes is False
        else (f"install PgBouncer {safe} or newer", "or name the server itself in the DSN"),
    )


def _minor(facts: Facts) -> Capability:
    major, minor = divmod(facts.version, 10000)
    least = SAFE_MINORS.get(major)
    if least is None:
        known = major > max(SAFE_MINORS)
        because = "newer than this program knows" if known else "this major version gets no corrections"
        return Capability(
            feature="security corrections",
            available=known,
            because=f"PostgreSQL {_shown(facts.version)}: {because}",
        )
    return Capability(
        feature="security corrections",
        available=minor >= least,
        because=f"PostgreSQL {_shown(facts.version)}; known holes are closed from {major}.{least} on",
        remedy=() if minor >= least else (f"install PostgreSQL {major}.{least} or newer", _RESTART),
    )


def _isolation(facts: Facts) -> Capability:
    major, minor = divmod(facts.version, 10000)
    closed_in = ISOLATING_MINORS.get(major, 0 if major > max(ISOLATING_MINORS) else None)
    tight = closed_in is not None and minor >= closed_in
    named = f"PostgreSQL {_shown(facts.version)}"
    return Capability(
        feature="isolation of tenants",
        available=tight,
        because=f"{named} keeps values that row-level security hides out of its estimates"
        if tight
        else f"{named} lets a tenant learn hidden values of others from the planner's statistics (CVE-2025-8713)",
        remedy=()
        if tight
        else (f"install PostgreSQL {major}.{closed_in} or newer", _RESTART)
        if closed_in is not None
        else (f"pg_upgrade to {OLDEST} or newer",),
    )


def _encryption(facts: Facts) -> Capability:
    if facts.local_socket:
        return Capability(feature="encrypted connection", available=True, because="a unix socket of this host")
    if facts.tls:
        return Capability(feature="encrypted connection", available=True, because=f"{facts.tls_version} is used")
    offered = facts.settings.get("ssl") == "on"
    return Capability(
        feature="encrypted connection",
        available=False,
        because="the server offers TLS, this connection does not use it"
        if offered
        else "the server has ssl = off: passwords' proofs and data cross the network in the clear",
        remedy=("add sslmode=verify-full and sslrootcert=… to the DSN",)
        if offered
        else (
            "put server.crt and server.key into the data directory",
            "alter system set ssl = on;",
            "select pg_reload_conf();",
        ),
    )


def _passwords(facts: Facts) -> Capability:
    method = facts.settings.get("password_encryption", "unknown")
    good = method == "scram-sha-256"
    return Capability(
        feature="password method",
        available=good,
        because=f"password_encryption = {method}",
        remedy=()
        if good
        else (
            "alter system set password_encryption = 'scram-sha-256';",
            "select pg_reload_conf();",
            f"\\password {facts.role}",
        ),
    )


def _monitoring(facts: Facts) -> Capability:
    allowed = facts.superuser or "pg_monitor" in facts.predefined_roles
    return Capability(
        feature="monitoring",
        available=allowed,
        because=f"{facts.role} {'sees' if allowed else 'does not see'} other sessions and all settings",
        remedy=() if allowed else (f"grant pg_monitor to {_identifier(facts.role)};",),
    )


def _statement_statistics(facts: Facts) -> Capability:
    feature = "statement statistics"
    installed = facts.extensions.get("pg_stat_statements")
    libraries = facts.settings.get("shared_preload_libraries")
    words = [word.strip() for word in (libraries or "").split(",") if word.strip()]
    if libraries is not None and "pg_stat_statements" in words and installed:
        return Capability(feature=feature, available=True, because="pg_stat_statements is loaded and installed")
    if installed is None:
        return Capability(
            feature=feature,
            available=False,
            because="the extension pg_stat_statements is not on the server",
            remedy=(f"install postgresql-contrib of PostgreSQL {facts.version // 10000} there",),
        )
    remedy: list[str] = []
    if libraries is not None and "pg_stat_statements" not in words:
        remedy += [
            f"alter system set shared_preload_libraries = {', '.join([*words, 'pg_stat_statements'])};",
            _RESTART,
        ]
    if not installed:
        remedy.append("create extension pg_stat_statements;")
    if libraries is None and installed:
        return Capability(
            feature=feature,
            available=True,
            because=f"it is installed; whether it is loaded is hidden from {facts.role}",
            remedy=(f"grant pg_read_all_settings to {_identifier(facts.role)};",),
        )
    return Capability(
        feature=feature,
        available=False,
        because="pg_stat_statements is " + ("not installed here" if not installed else "not loaded"),
        remedy=tuple(remedy),
    )


def _schema(facts: Facts) -> Capability:
    if facts.in_recovery:
        return Capability(
            feature="schema and migrations",
            available=False,
            because="this server is a standby: it takes no writes",
            remedy=("give the DSN of the primary",),
        )
    allowed = facts.superuser or facts.may_create_schemas
    return Capability(
        feature="schema and migrations",
        available=allowed,
        because=f"{facts.role} may {'' if allowed else 'not '}create schemas in this database",
        remedy=() if allowed else (f"grant create on database … to {_identifier(facts.role)};",),
    )


def _roles(facts: Facts) -> Capability:
    missing = [role for role in ROLES if role not in facts.platform_roles]
    able = "can" if facts.superuser else "may not"
    return Capability(
        feature="tenant isolation roles",
        available=not missing,
        because=f"missing: {', '.join(missing)}; {facts.role} {able} make them"
        if missing
        else "all roles of the platform are there",
        remedy=tuple(f"create role {role} {ROLES[role]};" for role in missing),
    )


def _restore_points(facts: Facts) -> Capability:
    needed = ("pg_create_restore_point(text)", "pg_switch_wal()")
    missing = [name for name in needed if name not in facts.callable_functions]
    return Capability(
        feature="restore points",
        available=not missing,
        because=f"{facts.role} may call {' and '.join(needed)}"
        if not missing
        else f"{facts.role} may not call {', '.join(missing)}",
        remedy=_grants(missing, facts.role),
    )


def _backup_rights(facts: Facts) -> Capability:
    missing = [name for name in _BACKUP_CALLS if name not in facts.callable_functions]
    hidden = not facts.superuser and not {"pg_read_all_settings", "pg_monitor"} & facts.predefined_roles
    ok = not missing and not hidden
    return Capability(
        feature="rights for backups",
        available=ok,
        because=f"{facts.role} has what pgBackRest calls"
        if ok
        else "; ".join(
            ([f"may not call {', '.join(missing)}"] if missing else [])
            + (["may not read all settings"] if hidden else [])
        ),
        remedy=(
            *_grants(missing, facts.role),
            *((f"grant pg_read_all_settings, pg_checkpoint to {_identifier(facts.role)};",) if hidden else ()),
        ),
    )


def _files(facts: Facts) -> Capability:
    match facts.data_directory_here:
        case True:
            because, remedy = "the data directory is readable on this host", ()
        case False:
            because = f"{facts.settings.get('data_directory')} cannot be read here by this user"
            remedy = (
                "run wedsync on the database's host as the user that owns the data directory (or one of its"
                " group: initdb --allow-group-access)",
            )
        case None:
            because = f"where the data directory is, is hidden from {facts.role}"
            remedy = (f"grant pg_read_all_settings to {_identifier(facts.role)};",)
    return Capability(
        feature="physical backups", available=facts.data_directory_here is True, because=because, remedy=remedy
    )


def _archiving(facts: Facts, wanted: str) -> Capability:
    feature = "point-in-time recovery"
    level, mode = facts.settings.get("wal_level"), facts.settings.get("archive_mode")
    command = facts.settings.get("archive_command")
    remedy: list[str] = []
    wrong: list[str] = []
    if level == "minimal":
        wrong.append("wal_level = minimal writes too little WAL")
        remedy.append("alter system set wal_level = 'replica';")
    if mode not in {"on", "always"}:
        wrong.append(f"archive_mode = {mode}")
        remedy.append("alter system set archive_mode = 'on';")
    if remedy:
        remedy.append(_RESTART)
    if facts.settings.get("archive_timeout") == "0":
        wrong.append("archive_timeout = 0: a quiet hour's commits are archived when 16 MB are full")
        remedy += ["alter system set archive_timeout = '60s';", "select pg_reload_conf();"]
    if command is None:
        wrong.append(f"archive_command is hidden from {facts.role}")
        remedy.insert(0, f"grant pg_read_all_settings to {_identifier(facts.role)};")
    elif "pgbackrest" not in command:
        wrong.append("archive_command is " + (f"{command!r}" if command not in {"", "(disabled)"} else "not set"))
        quoted = wanted.replace("'", "''")
        remedy += [
            f"alter system set archive_command = '{quoted}';",
            "select pg_reload_conf();",
        ]
    return Capability(
        feature=feature,
        available=not wrong,
        because="; ".join(wrong) or "WAL is archived by pgBackRest",
        remedy=tuple(remedy),
    )


def _change_feed(facts: Facts) -> Capability:
    level = facts.settings.get("wal_level")
    able = facts.superuser or facts.replication
    slots = facts.settings.get("max_replication_slots", "0") != "0"
    wrong: list[str] = []
    remedy: list[str] = []
    if level != "logical":
        wrong.append(f"wal_level = {level}")
        remedy += ["alter system set wal_level = 'logical';"]
    if not slots:
        wrong.append("max_replication_slots = 0")
        remedy += ["alter system set max_replication_slots = 10;"]
    if remedy:
        remedy.append(_RESTART)
    if not able:
        wrong.append(f"{facts.role} may not replicate")
        remedy.append(f"alter role {_identifier(facts.role)} replication;")
    return Capability(
        feature="change feed",
        available=not wrong,
        because="; ".join(wrong) or "logical decoding is on",
        remedy=tuple(remedy),
    )


def _durability(facts: Facts) -> Capability:
    off = [name for name in ("fsync", "full_page_writes") if facts.settings.get(name) == "off"]
    return Capability(
        feature="durable commits",
        available=not off,
        because=f"{' and '.join(off)} = off: a crash can destroy the cluster"
        if off
        else "fsync and full_page_writes are on",
        remedy=(*(f"alter system reset {name};" for name in off), "select pg_reload_conf();") if off else (),
    )


def _checksums(facts: Facts) -> Capability:
    on = facts.settings.get("data_checksums") == "on"
    return Capability(
        feature="damage is noticed",
        available=on,
        because="data checksums are on" if on else "data checksums are off: a flipped bit is read as data",
        remedy=() if on else ("stop PostgreSQL", "pg_checksums --enable -D <data directory>", "start PostgreSQL"),
    )


def _commit_times(facts: Facts) -> Capability:
    on = facts.settings.get("track_commit_timestamp") == "on"
    return Capability(
        feature="commit times",
        available=on,
        because=f"track_commit_timestamp = {facts.settings.get('track_commit_timestamp')}",
        remedy=() if on else ("alter system set track_commit_timestamp = on;", _RESTART),
    )


def _clock(facts: Facts) -> Capability:
    apart = abs(facts.clock_ahead)
    near = apart <= _CLOCK_MAY_DIFFER
    return Capability(
        feature="clocks agree",
        available=near,
        because=f"the server's clock differs from ours by {apart.total_seconds():.1f} s",
        remedy=() if near else ("synchronise both clocks: timedatectl set-ntp true",),
    )


def _of_engine(running: int, home: HomeFacts) -> list[Capability]:
    found: list[Capability] = []
    if home.installed_version is not None:
        same = running == home.installed_version
        found.append(
            Capability(
                feature="installed version runs",
                available=same,
                because=f"PostgreSQL {_shown(running)} runs, {_shown(home.installed_version)} is installed",
                remedy=() if same else ("wedsync down", "bin/up --detach"),
            )
        )
    if home.pgbackrest_version is not None:
        lacks = [what for since, what in _NEWER_PGBACKREST.items() if home.pgbackrest_version < since]
        found.append(
            Capability(
                feature="backup engine",
                available=True,
                because="pgBackRest {}.{}".format(*home.pgbackrest_version)
                + (f"; newer ones have {', '.join(lacks)}" if lacks else ""),
            )
        )
    return found


def home_capabilities(home: HomeFacts) -> list[Capability]:
    """What the files of a home allow, whether its server runs or not."""
    return [
        Capability(
            feature="free space",
            available=home.free_bytes >= home.wanted_bytes,
            because=f"{home.free_bytes / 1e9:.1f} GB are free; a restore beside the cluster and a day of WAL"
            f" want {home.wanted_bytes / 1e9:.1f} GB",
            remedy=() if home.free_bytes >= home.wanted_bytes else (f"free space for {home.root}",),
        ),
        Capability(
            feature="server certificate",
            available=home.certificate_lasts > timedelta(0),
            because=f"it lasts another {home.certificate_lasts.days} days"
            if home.certificate_lasts > timedelta(0)
            else "there is none that is valid",
            remedy=() if home.certificate_lasts > timedelta(days=30) else ("wedsync down", "bin/up"),
        ),
        Capability(
            feature="secrets are ours alone",
            available=not home.open_files,
            because="no other user can read them"
            if not home.open_files
            else "open to others: " + ", ".join(home.open_files),
            remedy=tuple(f"chmod go= {path}" for path in home.open_files),
        ),
        Capability(
            feature="clock goes forward",
            available=home.newest_file_ahead <= _CLOCK_MAY_DIFFER,
            because="no file of the home is of the future"
            if home.newest_file_ahead <= _CLOCK_MAY_DIFFER
            else f"the clock was set back: a file was written {home.newest_file_ahead} after now",
            remedy=()
            if home.newest_file_ahead <= _CLOCK_MAY_DIFFER
            else ("timedatectl set-ntp true", "wedsync backup run --type full"),
        ),
    ]


def _grants(signatures: list[str], role: str) -> tuple[str, ...]:
    return tuple(f"grant execute on function pg_catalog.{name} to {_identifier(role)};" for name in signatures)


def _identifier(name: str) -> str:
    return name if name.isidentifier() and name.islower() else '"' + name.replace('"', '""') + '"'


def _shown(version: int) -> str:
    return f"{version // 10000}.{version % 10000}" if version >= 100000 else f"{version // 10000}"
