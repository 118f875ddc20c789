"""pgBackRest, called: one method a command, its errors told in our words."""

import asyncio
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import assert_never

from wedsync.backup.beside import Beside
from wedsync.backup.configuration import (
    ClusterAccess,
    archive_command,
    key_name,
    processors_of_this_machine,
    read_keys,
    render_config,
    repositories,
    repositories_of_hosts,
    restore_command,
)
from wedsync.backup.explain import explain, explain_segment, last_complaint
from wedsync.backup.identity import IdentityCard
from wedsync.backup.model import Archive, Backup, BackupKind, Catalogue, RepositoryStatus
from wedsync.backup.regions.given_up import read_given_up
from wedsync.backup.report import (
    Said,
    VerifyReport,
    read_clusters,
    read_info,
    read_listing,
    read_names,
    read_percent,
    read_verify,
)
from wedsync.backup.store_errors import explain_store
from wedsync.cluster import Engine, Secrets, random_password, write_private
from wedsync.config import Config, Home, RepositoryKind
from wedsync.database import Lsn
from wedsync.errors import (
    BackupFailed,
    BackupUnknown,
    ForeignCluster,
    RepositoryFull,
    RepositoryUnreachable,
    RestoreFailed,
    WedsyncError,
    WrongKey,
)
from wedsync.process import Finished, Priority, run

_NEW_LABEL = re.compile(r"new backup label = (?P<label>\S+)")
_RESTORED = re.compile(r"restore size = (?P<size>[^,]+), file total = (?P<files>\d+)")
_LOOK = timedelta(seconds=60)
_LOOK_IO = "--io-timeout=3"  # tried four times: a host that does not answer costs 12 s and no more
_CRYPTO = 95
_FOR_EVER = timedelta(days=3650)
_ROOM_BYTES = 16 * 1024 * 1024
_ANSWER = timedelta(minutes=5)

Progress = Callable[[float], None]
"""Called with the percentage that is done, 0 to 100."""


class TargetKind(StrEnum):
    """Where a recovery stops (PostgreSQL manual, 20.5.6 Recovery Target)."""

    DEFAULT = "default"
    """At the end of the archived WAL."""
    IMMEDIATE = "immediate"
    """As soon as the backup is consistent."""
    TIME = "time"
    NAME = "name"
    LSN = "lsn"


class TargetAction(StrEnum):
    """What the server does when it is there."""

    PROMOTE = "promote"
    PAUSE = "pause"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreTarget:
    """Where a recovery stops, on which timeline, and what then."""

    kind: TargetKind = TargetKind.DEFAULT
    at: datetime | None = None
    name: str | None = None
    lsn: Lsn | None = None
    timeline: int | None = None
    """`None`: the newest one that the archive knows."""
    action: TargetAction = TargetAction.PROMOTE
    exclusive: bool = False
    """Whether it stops before the first record at or behind `lsn` rather than after it."""

    def options(self) -> list[str]:
        """The options of `pgbackrest restore`; `ValueError` where the target's own value is missing."""
        words = [f"--type={self.kind}"]
        match self.kind:
            case TargetKind.DEFAULT:
                pass
            case TargetKind.IMMEDIATE:
                words.append(f"--target-action={self.action}")
            case TargetKind.TIME | TargetKind.NAME | TargetKind.LSN:
                words += [f"--target={self.value()}", f"--target-action={self.action}"]
            case _:
                assert_never(self.kind)
        if self.exclusive:
            words.append("--target-exclusive")
        if self.timeline is not None and self.kind is not TargetKind.IMMEDIATE:  # that is "current" by itself
            words.append(f"--target-timeline={self.timeline}")
        return words

    def value(self) -> str:
        """The target's own value, as PostgreSQL reads it; `ValueError` where it is missing."""
        if self.kind is TargetKind.TIME and self.at is not None:
            return self.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
        if self.kind is TargetKind.NAME and self.name:
            return self.name
        if self.kind is TargetKind.LSN and self.lsn is not None:
            return str(self.lsn)
        raise ValueError(f"a target of kind {self.kind} needs its value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """How a restore of files ended; the server is not started yet."""

    repo: int
    label: str
    files: int
    took_s: float


class PgBackRest:
    """The backup engine of one home. Holds no connection; every method is one run of the program.

    All methods raise `WedsyncError` subclasses: `RepositoryUnreachable`, `RepositoryFull`, `WrongKey`,
    `ForeignCluster`, `ArchivingStuck`, `Busy`, and what the method names itself.
    """

    def __init__(
        self, *, engine: Engine, home: Home, config: Config, cluster: ClusterAccess | None = None
    ) -> None:
        self.engine = engine
        self.home = home
        self.config = config.backup
        self.cluster = cluster or ClusterAccess(pgdata=home.pgdata, sockets=home.sockets, port=config.cluster.port)
        self._identity = IdentityCard(engine=engine, home=home)

    @property
    def repos(self) -> tuple[int, ...]:
        """Numbers of the configured repositories, the first is asked first."""
        return tuple(repositories(self.config))

    @property
    def repos_here(self) -> tuple[int, ...]:
        """Those whose backups are taken from here; those of pgBackRest hosts are taken there."""
        elsewhere = repositories_of_hosts(self.config)
        return tuple(repo for repo in self.repos if repo not in elsewhere)

    @property
    def version(self) -> tuple[int, int]:
        """pgBackRest's own version."""
        return self.engine.pgbackrest_version

    def write_config(self) -> Path:
        """Write pgBackRest's configuration files (0600); makes the keys of the repositories on first use.

        A key whose file was lost is taken from the configuration that was written with it, not made anew: nothing
        but that key opens the repository.

        That of archiving is without the second region while it is given up.
        """
        for directory in (self.home.spool, self.home.log / "pgbackrest", self.home.run / "pgbackrest"):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        given_up = read_given_up(self.home)
        archived = self.config_text(only=None if given_up is None or given_up.returning else 1)
        write_private(self.home.archive_config, archived.encode(), replace=True)
        write_private(self.home.pgbackrest_config, self.config_text().encode(), replace=True)
        return self.home.pgbackrest_config

    def config_text(self, *, only: int | None = None) -> str:
        """pgBackRest's configuration, with all repositories or `only` one: it holds their keys."""
        secrets = Secrets(self.home)
        written = read_keys(self.home.pgbackrest_config)
        keys = {
            number: secrets.get_or_create(key_name(number), make=partial(written.get, number, random_password()))
            for number in repositories(self.config)
        }
        return render_config(
            self.config,
            home=self.home,
            cluster=self.cluster,
            version=self.version,
            keys=keys,
            secret=lambda name: secrets.read(name).strip(),
            processors=processors_of_this_machine(),
            only=only,
        )

    def archive_command(self) -> str:
        """PostgreSQL's `archive_command`."""
        return archive_command(
            self.engine.pgbackrest,
            config=self.home.archive_config,
            stanza=self.config.stanza,
            library_path=self.engine.library_path,
        )

    def restore_command(
        self,
        *,
        repo: int | None = None,
        asynchronous: bool = False,
        pgdata: Path | None = None,
        beside: Beside | None = None,
    ) -> str:
        """PostgreSQL's `restore_command`; asynchronous only where no timeline switch lies on the way and
        nobody else with the same spool fetches WAL at the same time."""
        return restore_command(
            self.engine.pgbackrest,
            config=self.home.pgbackrest_config,
            stanza=self.config.stanza,
            repo=repo,
            asynchronous=asynchronous,
            library_path=self.engine.library_path,
            pgdata=pgdata,
            further=beside.fetch_options(asynchronous=asynchronous) if beside is not None else (),
        )

    async def stanza_create(self) -> tuple[RepositoryStatus, ...]:
        """Prepare the repositories for the running cluster; harmless when they are.

        Raises if the first repository cannot be prepared; the state of the others is in the answer.
        """
        try:
            await self._call("stanza-create", _LOOK_IO, deadline=_ANSWER)
        except ForeignCluster:
            raise
        except WedsyncError:
            statuses = (await self.catalogue()).repositories
            if not statuses or not statuses[0].ok:
                raise
            return statuses
        return (await self.catalogue()).repositories

    async def serve(self) -> Finished:
        """Serve a pgBackRest host that takes backups of this cluster, until it ends or is cancelled."""
        words = [self.engine.pgbackrest, f"--config={self.home.pgbackrest_config}", "server"]
        return await run(words, deadline=_FOR_EVER, env=self.engine.environment)

    async def check(self) -> None:
        """Archive one WAL segment and wait until it is in every repository; `ArchivingStuck` if it is not."""
        await self._call("check", deadline=_ANSWER)

    async def catalogue(self, repos: Sequence[int] | None = None) -> Catalogue:
        """All backups in all repositories (or in `repos`), and the state of each; never fails for one of them."""
        found = await asyncio.gather(*(self._catalogue_of(repo) for repo in repos or self.repos))
        backups = [backup for part in found for backup in part.backups]
        return Catalogue(
            backups=tuple(sorted(backups, key=lambda backup: (backup.label, backup.repo))),
            repositories=tuple(status for part in found for status in part.repositories),
        )

    async def _catalogue_of(self, repo: int) -> Catalogue:
        return (await self._looked_into(repo))[0]

    async def _looked_into(self, repo: int) -> tuple[Catalogue, str]:
        """What a repository says of its backups, in our words and in its own."""
        try:
            text = await self._info(repo)
            return _in_our_words(read_info(text, (repo,))), text
        except WedsyncError as error:
            seen = error.in_one_line()
        except ValueError as error:
            seen = f"pgBackRest's answer about it cannot be read ({error})"
        return Catalogue(backups=(), repositories=(RepositoryStatus(repo=repo, ok=False, message=seen),)), ""

    async def holdings(self) -> tuple[Catalogue, tuple[Archive, ...]]:
        """All backups and all WAL in all repositories, and the state of each; never fails for one of them.

        Each is asked for its backups first: WAL that comes meanwhile does no harm, a backup without its WAL would.
        """
        found = await asyncio.gather(*(self._holdings_of(repo) for repo in self.repos))
        backups = [backup for catalogue, _ in found for backup in catalogue.backups]
        catalogue = Catalogue(
            backups=tuple(sorted(backups, key=lambda backup: (backup.label, backup.repo))),
            repositories=tuple(status for part, _ in found for status in part.repositories),
        )
        return catalogue, tuple(archive for _, archives in found for archive in archives)

    async def _holdings_of(self, repo: int) -> tuple[Catalogue, tuple[Archive, ...]]:
        catalogue, text = await self._looked_into(repo)
        if not all(status.ok for status in catalogue.repositories):
            return catalogue, ()
        try:
            return catalogue, await self._listing(repo, text)
        except WedsyncError as error:
            status = RepositoryStatus(repo=repo, ok=False, message=error.in_one_line())
            return Catalogue(backups=catalogue.backups, repositories=(status,)), ()

    async def _info(self, repo: int) -> str:
        return (await self._call("info", _LOOK_IO, "--output=json", repo=repo, deadline=_LOOK)).stdout

    async def archives(self, repo: int, *, listing: str | None = None) -> tuple[Archive, ...]:
        """What the repository holds of the WAL, one for each cluster (usually one) it ever belonged to.

        `listing` is what `repo-ls --recurse --output=json` says of the whole repository, if it was asked just now.
        """
        told = await self._info(repo)
        if listing is None:
            return await self._listing(repo, told)
        below = f"archive/{self.config.stanza}/"
        return read_listing(listing, repo=repo, clusters=read_clusters(told, repo), below=below)

    async def _listing(self, repo: int, told: str) -> tuple[Archive, ...]:
        clusters = read_clusters(told, repo)
        if not clusters:
            return ()
        area = f"archive/{self.config.stanza}"
        words = ("--recurse", "--output=json", area)
        answer = await self._call("repo-ls", *words, repo=repo, deadline=_ANSWER)
        return read_listing(answer.stdout, repo=repo, clusters=clusters)

    async def clusters(self, repo: int) -> dict[str, str]:
        """The clusters that a repository knows: by system id, its name there, such as `15-1`."""
        return {system: name for name, (system, _) in read_clusters(await self._info(repo), repo).items()}

    async def require_readable(self, repo: int) -> None:
        """Raise what keeps a repository from being read: pgBackRest's `info` says of such a one what it says of an
        empty one, that it knows nothing.
        """
        directory = f"archive/{self.config.stanza}"
        await self._call("repo-ls", _LOOK_IO, "--output=json", directory, repo=repo, deadline=_LOOK)

    async def segments_of_log(self, repo: int, *, archive_id: str, log: str) -> tuple[str, ...]:
        """Segments whose names begin with `log`, 16 digits: one directory of the archive, and so one question."""
        listing = await self._call(
            "repo-ls",
            _LOOK_IO,
            "--output=json",
            f"archive/{self.config.stanza}/{archive_id}/{log}",
            repo=repo,
            deadline=_LOOK,
        )
        return read_names(listing.stdout)

    async def backup(
        self,
        kind: BackupKind,
        *,
        repo: int,
        annotations: Mapping[str, str] | None = None,
        on_progress: Progress | None = None,
    ) -> Backup:
        """Take one backup into one repository. Raises `BackupFailed` for what has no class of its own."""
        finished = await self._call(
            "backup",
            f"--type={kind}",
            "--log-level-console=" + ("info" if on_progress is None else "detail"),
            *(f"--annotation={name}={value}" for name, value in (annotations or {}).items()),
            repo=repo,
            deadline=self.config.deadline,
            on_progress=on_progress,
            otherwise=BackupFailed,
        )
        match = _NEW_LABEL.search(finished.stdout)
        if match is None:
            raise BackupFailed(
                f"pgBackRest ended well but named no backup in repo{repo}",
                detail=finished.stdout.strip()[-400:],
            )
        found = (await self.catalogue((repo,))).find(repo, match["label"])
        if found is None:
            raise BackupFailed(
                f"backup {match['label']} is not in repo{repo} right after it was taken",
                hint=f"look at the repository: wedsync backup verify --repo {repo}",
            )
        return found

    async def restore(
        self,
        *,
        repo: int,
        label: str,
        pgdata: Path,
        target: RestoreTarget,
        delta: bool = False,
        archiving: bool = True,
        asynchronous_get: bool = False,
        recovery_options: Mapping[str, str] | None = None,
        beside: Beside | None = None,
        on_progress: Progress | None = None,
    ) -> Restored:
        """Put the files of a backup into `pgdata` and write where recovery has to stop.

        `delta` replaces only what differs from the backup. `archiving=False` for a copy beside the real
        cluster, which must never archive; `beside` is where and how such a job works. WAL is fetched from the
        same repository. Raises `RestoreFailed`.
        """
        command = self.restore_command(repo=repo, asynchronous=asynchronous_get, pgdata=pgdata, beside=beside)
        options = {"restore_command": command} | dict(recovery_options or {})
        await asyncio.to_thread(pgdata.mkdir, parents=True, exist_ok=True, mode=0o700)
        try:
            finished = await self._call(
                "restore",
                f"--set={label}",
                f"--pg1-path={pgdata}",
                *target.options(),
                *(["--delta"] if delta else []),
                *(beside.options() if beside is not None else []),
                *([] if archiving else ["--archive-mode=off"]),
                *(f"--recovery-option={name}={value}" for name, value in options.items()),
                "--log-level-console=" + ("info" if on_progress is None else "detail"),
                repo=repo,
                deadline=self.config.deadline,
                on_progress=on_progress,
                otherwise=RestoreFailed,
                priority=beside.priority if beside is not None else None,
            )
        except BackupUnknown as error:
            await self._require_readable(repo, error)
            raise
        match = _RESTORED.search(finished.stdout)
        return Restored(repo=repo, label=label, files=int(match["files"]) if match else 0, took_s=finished.took_s)

    async def verify(self, repo: int) -> VerifyReport:
        """Let pgBackRest read every file of a repository. It says ok too easily: see verification.py."""
        finished = await self._call(
            "verify",
            "--output=text",
            "--verbose",
            "--log-level-console=info",
            repo=repo,
            deadline=self.config.deadline,
        )
        return read_verify(finished.stdout)

    async def expire_label(self, *, repo: int, label: str) -> None:
        """Remove one backup and those that depend on it; `BackupKept` if it is the only full one."""
        await self._call("expire", f"--set={label}", repo=repo, deadline=_ANSWER)

    async def expire_wal(self, *, repo: int, keep_fulls: int) -> None:
        """Remove the WAL before the `keep_fulls`-th newest full backup.

        Older backups keep the few segments that make them consistent.
        """
        await self._call(
            "expire",
            f"--repo{repo}-retention-archive={keep_fulls}",
            f"--repo{repo}-retention-archive-type=full",
            repo=repo,
            deadline=_ANSWER,
        )

    async def annotate(self, *, repo: int, label: str, values: Mapping[str, str | None]) -> None:
        """Attach words to a backup, in its repository; `None` takes them away."""
        if (await self.catalogue((repo,))).find(repo, label) is None:
            raise BackupUnknown(f"repo{repo} has no backup {label}", hint="wedsync backup list")
        await self._call(
            "annotate",
            f"--set={label}",
            *(f"--annotation={name}={value or ''}" for name, value in values.items()),
            repo=repo,
            deadline=_ANSWER,
        )

    async def archive_get(self, segment: str, destination: Path, *, repo: int, system_id: str) -> bool:
        """Fetch one WAL segment (or history file) of a cluster; whether the repository has it.

        Works without the data directory.
        """
        identity = await self.identity(system_id)
        finished = await self._run(
            "archive-get",
            "--no-archive-async",
            f"--pg1-path={identity}",
            segment,
            str(destination),
            repo=repo,
            deadline=_ANSWER,
        )
        if finished.exit_status == 1:
            return False
        if finished.exit_status != 0:
            raise explain_segment(finished, segment, repo=repo)
        return True

    async def archive_push(self, segment: Path) -> None:
        """Archive one finished segment by hand, as a stopped server's `archive_command` would have."""
        words = self.command_line(
            "archive-push", "--no-archive-async", str(segment), config=self.home.archive_config
        )
        finished = await run(words, deadline=_ANSWER, env=self.engine.environment)
        if finished.exit_status != 0:
            raise explain(finished, "archive-push", repo=None, otherwise=BackupFailed)

    def command_line(
        self, command: str, *options: str, repo: int | None = None, config: Path | None = None
    ) -> Sequence[str | Path]:
        """The words that run a command of pgBackRest, with another configuration than the home's if given one."""
        return [
            self.engine.pgbackrest,
            f"--config={config or self.home.pgbackrest_config}",
            f"--stanza={self.config.stanza}",
            *([f"--repo={repo}"] if repo is not None else []),
            *(option for option in options if option.startswith("--")),
            command,
            *(option for option in options if not option.startswith("--")),
        ]

    async def identity(self, system_id: str) -> Path:
        """A directory that pgBackRest takes for the data directory of the cluster with this identifier."""
        return await self._identity.directory_for(system_id, self.cluster.pgdata)

    async def _require_readable(self, repo: int, error: WedsyncError) -> None:
        """Raise what is wrong with a repository as a whole, for which pgBackRest blamed a single backup."""
        for status in (await self.catalogue()).repositories:
            if status.repo != repo or status.ok:
                continue
            kind = WrongKey if status.wrong_key else RepositoryUnreachable
            raise kind(
                f"repo{repo} cannot be read: {status.message}",
                detail=error.detail,
                hint=f"put its own key back into secrets/{key_name(repo)}"
                if status.wrong_key
                else "check that its disk is mounted, its host reachable and its credentials valid",
            ) from error

    async def _call(
        self,
        command: str,
        *options: str,
        deadline: timedelta,
        repo: int | None = None,
        on_progress: Progress | None = None,
        otherwise: type[WedsyncError] = BackupFailed,
        priority: Priority | None = None,
    ) -> Finished:
        finished = await self._run(
            command, *options, deadline=deadline, repo=repo, on_progress=on_progress, priority=priority
        )
        if finished.exit_status != 0:
            raise self._meant(
                explain(
                    finished,
                    command,
                    repo=repo,
                    otherwise=otherwise,
                    archiver=last_complaint(self.home.spool, self.config.stanza),
                ),
                repo,
            )
        return finished

    def _meant(self, error: WedsyncError, repo: int | None) -> WedsyncError:
        """`error`, or that the disk is full: pgBackRest 2.45 may then say `[2] No such file or directory`."""
        repository = repositories(self.config).get(repo or 0)
        if not isinstance(error, RepositoryUnreachable) or repository is None:
            return error
        path = self.home.resolve(repository.path)
        if repository.kind is not RepositoryKind.PATH or not path.is_dir():
            return error
        free_bytes = shutil.disk_usage(path).free
        if free_bytes >= _ROOM_BYTES:
            return error
        return RepositoryFull(
            f"no space left in repo{repo}",
            detail=f"{free_bytes} bytes are free; {error.detail}",
            hint="make room, then run it again: what is there stays restorable",
        )

    async def _run(
        self,
        command: str,
        *options: str,
        deadline: timedelta,
        repo: int | None = None,
        on_progress: Progress | None = None,
        priority: Priority | None = None,
    ) -> Finished:
        def report(line: str) -> None:
            percent = read_percent(line)
            if percent is not None and on_progress is not None:
                on_progress(percent)

        return await run(
            self.command_line(command, *options, repo=repo),
            deadline=deadline,
            env=self.engine.environment,
            on_line=None if on_progress is None else report,
            priority=priority,
        )


def _in_our_words(found: Catalogue) -> Catalogue:
    """What a store refused is told by `info` as the state of its repository."""
    statuses: list[RepositoryStatus] = []
    for status in found.repositories:
        code = _CRYPTO if "certificate" in status.message else 0
        said = Said(code=code, message=status.message)
        error = None if status.ok else explain_store(said, f"repo{status.repo}", datetime.now(UTC))
        statuses.append(replace(status, message=error.in_one_line()) if error else status)
    return replace(found, repositories=tuple(statuses))
