"""pgBackRest's configuration file, made from ours."""

import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wedsync.config import BackupConfig, BackupServerConfig, Compression, Home, RepositoryConfig, RepositoryKind
from wedsync.errors import ConfigProblem

_BLOCK_INCREMENTAL = (2, 46)
_SFTP = (2, 46)
_PUSH_IO_TIMEOUT_S = 5  # by measurement: longer, and an unreachable repo2 keeps WAL from repo1 (engine facts)
_WAL_WAIT_S = 180  # with repo2 out of reach a segment takes 42 s to reach repo1, and a backup waits for several
_CIPHER_PASS = re.compile(r"^repo(?P<repo>\d)-cipher-pass=(?P<key>.+)$", re.MULTILINE)
_NEVER = 9_999_999  # retention is decided by retention.py; pgBackRest itself must remove nothing

_PREFIXES: Mapping[RepositoryKind, tuple[str, ...]] = {
    RepositoryKind.PATH: (),
    RepositoryKind.S3: ("s3-", "storage-"),
    RepositoryKind.AZURE: ("azure-", "storage-"),
    RepositoryKind.GCS: ("gcs-", "storage-"),
    RepositoryKind.SFTP: ("sftp-",),
    RepositoryKind.TLS: ("host",),
}
_REQUIRED: Mapping[RepositoryKind, tuple[str, ...]] = {
    RepositoryKind.PATH: (),
    RepositoryKind.S3: ("s3-bucket", "s3-endpoint", "s3-region"),
    RepositoryKind.AZURE: ("azure-account", "azure-container"),
    RepositoryKind.GCS: ("gcs-bucket",),
    RepositoryKind.SFTP: ("sftp-host", "sftp-host-user", "sftp-host-key-hash-type", "sftp-private-key-file"),
    RepositoryKind.TLS: ("host", "host-ca-file", "host-cert-file", "host-key-file"),
}
_SECRET_OPTIONS = ("s3-key-secret", "s3-token", "azure-key", "sftp-private-key-passphrase")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAccess:
    """How pgBackRest reaches the cluster it backs up: its files and its socket."""

    pgdata: Path
    sockets: Path
    port: int
    user: str = "wedsync_backup"
    database: str = "postgres"


def repositories(config: BackupConfig) -> dict[int, RepositoryConfig]:
    """The configured repositories by number."""
    found = {1: config.repo1}
    if config.repo2 is not None:
        found[2] = config.repo2
    return found


def repositories_of_hosts(config: BackupConfig) -> frozenset[int]:
    """Repositories on pgBackRest hosts: pgBackRest takes and removes backups only on the repository's own host."""
    return frozenset(number for number, item in repositories(config).items() if item.kind is RepositoryKind.TLS)


def key_name(repo: int) -> str:
    """Name of the secret that encrypts a repository."""
    return f"repo{repo}_key"


def read_keys(path: Path) -> dict[int, str]:
    """The keys, by repository, in a configuration file that `render_config` made; none if there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    return {int(found["repo"]): found["key"] for found in _CIPHER_PASS.finditer(text)}


def render_config(
    config: BackupConfig,
    *,
    home: Home,
    cluster: ClusterAccess,
    version: tuple[int, int],
    keys: Mapping[int, str],
    secret: Callable[[str], str],
    processors: int,
    only: int | None = None,
) -> str:
    """The text of pgBackRest's configuration file; it holds keys and is only for the service user's eyes.

    `keys` are the repositories' by number; `secret` gives the secret that an option names as `@name`. `only`: as
    if there were no other repository than this one.
    Raises `ConfigProblem` for a repository that cannot work, naming the setting.
    """
    lines = ["# Written by wedsync at every start: change wedsync.toml instead.", "[global]"]
    for number, repository in repositories(config).items():
        if only is not None and number != only:
            continue
        options = _repository(number, repository, home=home, version=version, keys=keys, secret=secret)
        lines += [f"repo{number}-{name}={value}" for name, value in options.items()]
    lines += [
        *_compression(config),
        f"process-max={config.processes or processors}",
        "start-fast=y",
        "expire-auto=n",
        "archive-async=y",
        f"spool-path={home.spool}",
        f"lock-path={home.run / 'pgbackrest'}",
        f"log-path={home.log / 'pgbackrest'}",
        "log-level-console=warn",
        "log-level-file=warn",
        *_server(config.serve, home),
        "",
        "[global:archive-push]",
        f"io-timeout={_PUSH_IO_TIMEOUT_S}",
        "",
        "[global:backup]",
        f"archive-timeout={_WAL_WAIT_S}",
        "",
        f"[{config.stanza}]",
        f"pg1-path={cluster.pgdata}",
        f"pg1-socket-path={cluster.sockets}",
        f"pg1-port={cluster.port}",
        f"pg1-user={cluster.user}",
        f"pg1-database={cluster.database}",
    ]
    for line in lines:
        if "\n" in line or "\r" in line:
            raise ConfigProblem(
                f"setting for pgBackRest's {line.partition('=')[0]} holds a line break",
                hint="a secret's file has one line",
            )
    return "\n".join(lines) + "\n"


def archive_command(program: Path, *, config: Path, stanza: str, library_path: str | None = None) -> str:
    """The `archive_command` that hands a segment to pgBackRest (which insists on its own name in there)."""
    words = ["env", f"LD_LIBRARY_PATH={library_path}"] if library_path else []
    words += [str(program), f"--config={config}", f"--stanza={stanza}", "archive-push"]
    return " ".join(shlex.quote(word).replace("%", "%%") for word in words) + " %p"


def restore_command(
    program: Path,
    *,
    config: Path,
    stanza: str,
    repo: int | None = None,
    asynchronous: bool = False,
    library_path: str | None = None,
    pgdata: Path | None = None,
    further: Sequence[str] = (),
) -> str:
    """The `restore_command` that fetches a segment; from `repo` only, if one is given; with `further` options.

    Asynchronous is faster, but shares one spool with whoever else fetches at the time, and loses its way
    where the timeline changes (pgBackRest before 2.59).

    PostgreSQL takes every exit status up to 125 for "no such segment" and ends recovery there as if the archive
    ended. pgBackRest means that by 1 only: its failures are told as 126, which stops recovery with an error.
    """
    words = ["env", f"LD_LIBRARY_PATH={library_path}"] if library_path else []
    words += [str(program), f"--config={config}", f"--stanza={stanza}"]
    words += [f"--repo={repo}"] if repo is not None else []
    words += [f"--pg1-path={pgdata}"] if pgdata is not None else []
    words += further
    words += ["--archive-async" if asynchronous else "--no-archive-async", "archive-get"]
    fetch = " ".join(shlex.quote(word).replace("%", "%%") for word in words) + ' %f "%p"'
    return f"{fetch}; s=$?; [ $s -le 1 ] || exit 126; exit $s"


def processors_of_this_machine() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0))


def _compression(config: BackupConfig) -> list[str]:
    if config.compression is Compression.NONE:
        return ["compress-type=none"]
    return [f"compress-type={config.compression}", f"compress-level={config.compression_level}"]


def _server(serve: BackupServerConfig | None, home: Home) -> list[str]:
    if serve is None:
        return []
    return [
        f"tls-server-address={serve.address}",
        f"tls-server-port={serve.port}",
        f"tls-server-ca-file={home.resolve(serve.ca_file)}",
        f"tls-server-cert-file={home.resolve(serve.cert_file)}",
        f"tls-server-key-file={home.resolve(serve.key_file)}",
        f"tls-server-auth={serve.client}=*",
    ]


def _repository(
    number: int,
    repository: RepositoryConfig,
    *,
    home: Home,
    version: tuple[int, int],
    keys: Mapping[int, str],
    secret: Callable[[str], str],
) -> dict[str, str]:
    kind = repository.kind
    _check(number, repository, version)
    options: dict[str, str] = {}
    match kind:
        case RepositoryKind.PATH:
            options |= {"type": "posix", "path": str(home.resolve(repository.path))}
        case RepositoryKind.S3 | RepositoryKind.AZURE | RepositoryKind.GCS | RepositoryKind.SFTP:
            options |= {"type": kind.value, "path": "/" + repository.path.strip("/")}
        case RepositoryKind.TLS:
            options |= {"host-type": "tls"}
    options |= {"cipher-type": "aes-256-cbc", "cipher-pass": keys[number], "bundle": "y"}
    if version >= _BLOCK_INCREMENTAL:
        options["block"] = "y"
    for name, value in repository.options.items():
        options[name] = _value(name, value, home=home, secret=secret)
    options["retention-full"] = str(_NEVER)
    return options


def _check(number: int, repository: RepositoryConfig, version: tuple[int, int]) -> None:
    setting = f"backup.repo{number}"
    kind = repository.kind
    if kind is RepositoryKind.PATH and not repository.path:
        raise ConfigProblem(f"{setting}.path is empty", hint="name a directory; a relative one is below the home")
    if kind is RepositoryKind.SFTP and version < _SFTP:
        raise ConfigProblem(
            f"{setting}.kind is sftp, which pgBackRest {version[0]}.{version[1]} does not know",
            hint="install pgBackRest 2.46 or newer, or use another kind of repository",
        )
    missing = [name for name in _REQUIRED[kind] if not repository.options.get(name)]
    if missing:
        raise ConfigProblem(
            f"{setting} of kind {kind} lacks {', '.join(missing)}",
            detail=f"given: {', '.join(sorted(repository.options)) or 'no options'}",
            hint=f"set them in [{setting}.options]; a value @name is read from secrets/name",
        )
    for name, value in repository.options.items():
        if not name.startswith(_PREFIXES[kind]) if _PREFIXES[kind] else True:
            allowed = ", ".join(f"{prefix}*" for prefix in _PREFIXES[kind]) or "none"
            raise ConfigProblem(
                f"{setting}.options.{name} does not belong to a repository of kind {kind}",
                hint=f"options of this kind: {allowed} (pgBackRest's, without repo{number}-)",
            )
        if name.endswith("verify-tls"):
            raise ConfigProblem(
                f"{setting}.options.{name} would trust whoever answers in the store's place",
                hint="leave it out; a certificate authority of your own is named by storage-ca-file",
            )
        if name in _SECRET_OPTIONS and not value.startswith("@"):
            raise ConfigProblem(
                f"{setting}.options.{name} is a secret and must not stand in the configuration",
                hint=f"write it into secrets/{name} (mode 0600) and set {name} = '@{name}'",
            )


def _value(name: str, value: str, *, home: Home, secret: Callable[[str], str]) -> str:
    """What pgBackRest is given: a secret's content, a file below the home by its whole path."""
    if value.startswith("@"):
        return secret(value.removeprefix("@"))
    return str(home.resolve(value)) if name.endswith(("-file", "-ca-path")) else value
