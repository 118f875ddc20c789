"""Backups with damaged files carry a mark in their repository: no recovery begins with one, wherever it runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from wedsync.backup.model import Backup, Problem
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.report import BROKEN
from wedsync.backup.verification.contents import affected
from wedsync.backup.verification.inspection import Inspected
from wedsync.backup.verification.manifest import Manifest
from wedsync.backup.verification.reading import Reader
from wedsync.errors import BackupUnknown
from wedsync.events import Event, observe
from wedsync.process import FileLock

_LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupBroken(Event):
    """Files of a backup are damaged: no recovery begins with it any more, and a new one is taken."""

    level: ClassVar[str] = "error"

    repo: int
    label: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupWholeAgain(Event):
    """A backup whose files were damaged was read again, and is whole."""

    repo: int
    label: str


def wanted_marks(
    problems: Iterable[Problem], backups: Iterable[Backup], manifests: Mapping[str, Manifest]
) -> dict[str, str]:
    """By label, what is wrong with the files of a repository's backup."""
    everything = tuple(backups)
    labels = {backup.label for backup in everything}
    found: dict[str, str] = {}
    for problem in problems:
        for label in affected(problem, everything, manifests):
            if label in labels and label not in found:
                at = "" if label == problem.label else f" (in {problem.label})"
                words = f"{problem.file or 'a file'}{at}: {problem.problem}"
                found[label] = words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
    return found


class Marker:
    """Puts the marks of one repository right."""

    def __init__(self, *, pgbackrest: PgBackRest, reader: Reader) -> None:
        self._pgbackrest = pgbackrest
        self._reader = reader

    async def settle(self, item: Inspected, problems: Iterable[Problem]) -> dict[str, str]:
        """Mark the backups that these problems break, unmark the others; gives what changed.

        Raises `Busy` while a backup is taken.
        """
        open_problems = tuple(problems)
        manifests = await self._dependents(item, open_problems)
        wanted = wanted_marks(open_problems, item.backups, manifests)
        changed: dict[str, str] = {}
        for backup in item.backups:
            words = wanted.get(backup.label)
            if (words is None) == (backup.broken is None):
                continue
            lock = self._pgbackrest.home.run / "backup.lock"
            with FileLock(lock, purpose=f"mark {backup.label} in repo{item.repo}"):
                try:
                    await self._pgbackrest.annotate(repo=item.repo, label=backup.label, values={BROKEN: words})
                except BackupUnknown:
                    continue  # it has no manifest any more: what the state file says of it counts
            changed[backup.label] = words or ""
            observe(
                BackupBroken(repo=item.repo, label=backup.label, words=words)
                if words
                else BackupWholeAgain(repo=item.repo, label=backup.label)
            )
        return changed

    async def _dependents(self, item: Inspected, problems: Iterable[Problem]) -> dict[str, Manifest]:
        """Manifests of the backups that took files over from a damaged one."""
        damaged = {problem.label for problem in problems if problem.label}
        found: dict[str, Manifest] = {}
        for backup in item.backups:
            if damaged.intersection(backup.references):
                manifest = await self._reader.manifest(item.repo, self._pgbackrest.config.stanza, backup.label)
                if manifest is not None:
                    found[backup.label] = manifest
        return found
