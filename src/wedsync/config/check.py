"""What no type can say of a configuration: ranges, and settings that contradict one another."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

from wedsync.config.model import AuthConfig, ClusterConfig, Compression, Config, Profile, RepositoryConfig
from wedsync.errors import ConfigProblem

_LEVELS = {
    Compression.ZSTD: (1, 22),
    Compression.LZ4: (1, 12),
    Compression.GZIP: (0, 9),
    Compression.NONE: (0, 99),
}
_LOCK_TIMEOUT = (timedelta(milliseconds=50), timedelta(milliseconds=200))
_SECOND = timedelta(seconds=1)
_OURS = {
    "port": "cluster.port",
    "listen_addresses": "cluster.listen_addresses",
    "archive_command": "backup.repo1",
    "archive_timeout": "backup.archive_timeout",
    "data_directory": "--home",
    "hba_file": "nothing: it is written at each start",
    "ident_file": "nothing: it is written at each start",
    "unix_socket_directories": "--home",
}
"""PostgreSQL settings that have a setting of ours, or none: setting them twice could only go wrong."""


def check(config: Config, origin_of: Callable[[str], str]) -> None:
    """Raise `ConfigProblem` for the first contradiction; `origin_of` says where a setting is from."""

    def problem(name: str, what: str, hint: str | None = None) -> ConfigProblem:
        return ConfigProblem(what, detail=f"{name} is from {origin_of(name)}", hint=hint)

    if config.profile is Profile.EXTERNAL and not config.database.dsn:
        raise problem(
            "profile",
            "profile external needs the database to adopt",
            "set database.dsn, or WEDSYNC_DATABASE__DSN",
        )
    if config.profile is Profile.CLUSTER:
        raise problem(
            "profile",
            "profile cluster (Patroni) is not part of this version",
            "use profile local or external",
        )
    for name, value, (least, most) in _ranges(config):
        if not least <= value <= most:
            raise problem(name, f"{name} is {value:g}", f"a value from {least:g} to {most:g}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", config.backup.stanza):
        raise problem(
            "backup.stanza", f"backup.stanza is {config.backup.stanza!r}", "letters, digits, '_', '-', '.'"
        )
    for name, duration in _pauses(config):
        if duration < _SECOND:
            raise problem(name, f"{name} is below one second", "write it like 90s, 15min or 1d")
    if not _LOCK_TIMEOUT[0] <= config.migrations.lock_timeout <= _LOCK_TIMEOUT[1]:
        raise problem(
            "migrations.lock_timeout",
            "migrations.lock_timeout is not between 50 ms and 200 ms",
            "readers of a table that a migration waits for are held up as long",
        )
    if config.backup.recovery_window < config.backup.repo1.full_every:
        raise problem(
            "backup.recovery_window",
            "backup.recovery_window is shorter than backup.repo1.full_every",
            "there would be moments without a backup to start from",
        )
    for name, what, hint in (*_sign_in(config.auth), *_cluster(config.cluster), *_drills(config)):
        raise problem(name, what, hint)


def _cluster(cluster: ClusterConfig) -> Iterator[tuple[str, str, str | None]]:
    """What is wrong with further settings of PostgreSQL: name, what, and what to do."""
    for setting, value in cluster.settings.items():
        if "\n" in value or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", setting):
            yield "cluster.settings", f"cluster.settings: {setting!r} is no setting of one line", None
        if setting in _OURS:
            yield "cluster.settings", f"cluster.settings may not set {setting}", f"use {_OURS[setting]}"


def _drills(config: Config) -> Iterator[tuple[str, str, str | None]]:
    """What is wrong with the settings of drills: name, what, and what to do."""
    hours = {name: getattr(config.drills, name) for name in ("quiet_from", "quiet_to")}
    for name, text in hours.items():
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
            yield f"drills.{name}", f"drills.{name} is no time of day: {text!r}", "write it like 01:00"
    if hours["quiet_from"] == hours["quiet_to"]:
        yield "drills.quiet_to", "the quiet hours have no length", "set drills.quiet_from and drills.quiet_to"
    if config.drills.proof_critical < config.drills.proof_limit:
        yield "drills.proof_critical", "drills.proof_critical is shorter than drills.proof_limit", None


def _ranges(config: Config) -> Iterator[tuple[str, float, tuple[float, float]]]:
    """Numbers, each with its least and greatest value."""
    yield "cluster.port", config.cluster.port, (1, 65535)
    yield "gateway.port", config.gateway.port, (1, 65535)
    yield "gateway.max_rows", config.gateway.max_rows or 1, (1, 10_000_000)
    yield "gateway.largest_body", config.gateway.largest_body, (1, 1_000_000_000)
    yield "gateway.rate_per_second", config.gateway.rate_per_second, (0, 1_000_000)
    yield "gateway.rate_burst", config.gateway.rate_burst, (1, 10_000_000)
    yield "gateway.at_once", config.gateway.at_once, (0, 100_000)
    yield "cluster.memory_share", config.cluster.memory_share, (0.001, 0.5)
    yield "database.pool.max_size", config.database.pool.max_size, (1, 10_000)
    yield "database.pool.min_size", config.database.pool.min_size, (1, 10_000)
    yield "database.pool.prepared_statements", config.database.pool.prepared_statements, (0, 10_000)
    yield "migrations.lock_tries", config.migrations.lock_tries, (1, 10_000)
    yield "auth.password_min_length", config.auth.password_min_length, (6, 128)
    yield "auth.calls_per_minute", config.auth.calls_per_minute, (1, 1_000_000)
    yield "auth.max_factors", config.auth.max_factors, (0, 100)
    yield "auth.mail.port", config.auth.mail.port, (1, 65535)
    yield "backup.processes", config.backup.processes, (0, 999)
    yield "drills.per_day", config.drills.per_day, (0, 100)
    yield "drills.processes", config.drills.processes, (1, 999)
    yield "drills.keep_free", config.drills.keep_free, (0, 1e15)
    yield "preview.most", config.preview.most, (0, 100)
    yield "preview.memory", config.preview.memory, (16_777_216, 1e12)
    yield "preview.processes", config.preview.processes, (0, 999)
    yield "preview.nice", config.preview.nice, (0, 19)
    yield "preview.keep_free", config.preview.keep_free, (0, 1e15)
    yield "backup.verification.nice", config.backup.verification.nice, (0, 19)
    yield "backup.verification.bytes_per_second", config.backup.verification.bytes_per_second, (100_000, 10**11)
    yield "backup.give_up_below_mb", config.backup.give_up_below_mb, (0, 1e9)
    yield "backup.compression_level", config.backup.compression_level, _LEVELS[config.backup.compression]


def _sign_in(auth: AuthConfig) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the settings of sign-in: name, what, and what to do."""
    unknown = sorted(set(auth.password_needs.split()) - {"lower", "upper", "digit", "symbol"})
    if unknown:
        yield "auth.password_needs", f"auth.password_needs has {unknown[0]!r}", "lower, upper, digit, symbol"
    for name, url in (("auth.api_url", auth.api_url), ("auth.site_url", auth.site_url)):
        if url and not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", url):
            yield name, f"{name} is no address of the web: {url!r}", "write it like https://app.example.com"


def _pauses(config: Config) -> Iterator[tuple[str, timedelta]]:
    """Durations that something waits for: none may be so short that it never rests."""
    for name in ("archive_timeout", "heartbeat_every", "retry_after", "deadline"):
        yield f"backup.{name}", getattr(config.backup, name)
    yield "backup.verification.within", config.backup.verification.within
    for name in ("degrade_after", "keep"):
        yield f"backup.zero_loss.{name}", getattr(config.backup.zero_loss, name)
    for name in ("token_lasts", "session_idle", "letter_lasts"):
        yield f"auth.{name}", getattr(config.auth, name)
    yield "auth.mail.deadline", config.auth.mail.deadline
    for name in ("rto_target", "rpo_target", "proof_limit", "keep_evidence"):
        yield f"drills.{name}", getattr(config.drills, name)
    yield "preview.keep_for", config.preview.keep_for
    yield from _rhythm("backup.repo1", config.backup.repo1)
    yield from _rhythm("backup.repo2", config.backup.repo2)


def _rhythm(name: str, repository: RepositoryConfig | None) -> Iterator[tuple[str, timedelta]]:
    if repository is not None:
        yield f"{name}.full_every", repository.full_every
        if repository.incr_every is not None:
            yield f"{name}.incr_every", repository.incr_every
