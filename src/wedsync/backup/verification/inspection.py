"""Look at the repositories without reading their files: what is there, what is missing, how they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wedsync.backup.model import Archive, Backup, Problem, ProblemKind, RepositoryStatus
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.retention import RetentionPolicy, retention
from wedsync.backup.stored import StoredFiles
from wedsync.backup.survey import Surveyor
from wedsync.backup.verification.chain import (
    LiveTail,
    differences,
    judge_names,
    judge_tail,
    judge_wal,
    without_repetition,
)
from wedsync.backup.verification.contents import judge_copies
from wedsync.backup.verification.files import StoredFile, read_files
from wedsync.clock import Clock
from wedsync.errors import WedsyncError


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """One repository as it was listed."""

    repo: int
    backups: tuple[Backup, ...]
    archives: tuple[Archive, ...]
    files: tuple[StoredFile, ...]

    @property
    def system_ids(self) -> Mapping[str, str]:
        """System identifiers by archive id."""
        return {archive.archive_id: archive.system_id for archive in self.archives}

    @property
    def labels(self) -> frozenset[str]:
        """Labels of its backups."""
        return frozenset(backup.label for backup in self.backups)

    def file(self, path: str) -> StoredFile | None:
        """The file with this path."""
        return next((file for file in self.files if file.path == path), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """All repositories that could be looked at, and why the others could not."""

    repos: Mapping[int, Inspected]
    unreadable: Mapping[int, Problem]
    bases: Mapping[int, Backup]
    """By repository, the backup that its promised window stands on."""
    problems: tuple[Problem, ...]
    """What is wrong with the repositories that could be looked at, their files unread."""

    @property
    def backups(self) -> tuple[Backup, ...]:
        """Of all repositories."""
        return tuple(backup for item in self.repos.values() for backup in item.backups)

    @property
    def archives(self) -> tuple[Archive, ...]:
        """Of all repositories."""
        return tuple(archive for item in self.repos.values() for archive in item.archives)


class Inspector:
    """Lists repositories; reads none of their big files."""

    def __init__(self, *, pgbackrest: PgBackRest, stored: StoredFiles, surveyor: Surveyor, clock: Clock) -> None:
        self._pgbackrest = pgbackrest
        self._stored = stored
        self._surveyor = surveyor
        self._clock = clock

    async def inspect(self, *, tail: LiveTail | None = None) -> Inspection:
        """What the repositories hold, and what is wrong with that; one that cannot be read is a problem too."""
        catalogue = await self._pgbackrest.catalogue()
        repos: dict[int, Inspected] = {}
        unreadable: dict[int, Problem] = {}
        for status in catalogue.repositories:
            if not status.ok:
                unreadable[status.repo] = cannot_be_read(status)
                continue
            try:
                repos[status.repo] = await self.look(status.repo, catalogue.of_repo(status.repo))
            except WedsyncError as error:
                unreadable[status.repo] = Problem(
                    repo=status.repo,
                    label=None,
                    file=None,
                    problem=error.in_one_line(),
                    kind=ProblemKind.REPOSITORY,
                )
        timelines = await self._surveyor.timelines.refresh([a for item in repos.values() for a in item.archives])
        backups = [backup for item in repos.values() for backup in item.backups]
        now = self._clock.now()
        plans = retention(backups, RetentionPolicy.of(self._pgbackrest.config), now=now, timelines=timelines)
        bases = {
            plan.repo: base
            for plan in plans
            for base in backups
            if (base.repo, base.label) == (plan.repo, plan.base)
        }
        archives = [archive for item in repos.values() for archive in item.archives]
        files = [file for item in repos.values() for file in item.files]
        problems = [
            *judge_wal(
                archives,
                backups,
                promised_from=now - self._pgbackrest.config.recovery_window,
                timelines=timelines,
            ),
            *judge_tail(_of_newest(archives, backups), tail, now=now),
            *differences(archives, files, bases, now=now),
            *judge_names(files, {(a.repo, a.archive_id): a.system_id for a in archives}),
        ]
        for item in repos.values():
            problems += self._of_one(item)
        return Inspection(
            repos=repos,
            unreadable=unreadable,
            bases=bases,
            problems=tuple(without_repetition(problems)),
        )

    async def look(self, repo: int, backups: Sequence[Backup]) -> Inspected:
        """List one repository."""
        listing = await self._stored.listing(repo)
        return Inspected(
            repo=repo,
            backups=tuple(backups),
            archives=await self._pgbackrest.archives(repo, listing=listing),
            files=read_files(listing, repo=repo, stanza=self._pgbackrest.config.stanza),
        )

    def _of_one(self, item: Inspected) -> list[Problem]:
        found = judge_copies(
            item.files, repo=item.repo, stanza=self._pgbackrest.config.stanza, labels=sorted(item.labels)
        )
        if not item.backups:
            found.append(
                Problem(
                    repo=item.repo,
                    label=None,
                    file=None,
                    problem="there is no backup in it",
                    kind=ProblemKind.REPOSITORY,
                )
            )
        return found


def cannot_be_read(status: RepositoryStatus) -> Problem:
    """The problem of a repository that does not answer."""
    return Problem(
        repo=status.repo,
        label=None,
        file=None,
        problem=f"the repository cannot be read: {status.message}",
        kind=ProblemKind.REPOSITORY,
    )


def _of_newest(archives: Sequence[Archive], backups: Sequence[Backup]) -> list[Archive]:
    """The archives of the cluster that the newest backup is of: the one that lives."""
    newest = max(backups, key=lambda backup: backup.finished_at, default=None)
    return [archive for archive in archives if newest is not None and archive.system_id == newest.system_id]
