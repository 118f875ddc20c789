"""Why did replay end where it did? The WAL that it was given is read at once, without waiting for its turn."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from wedsync.backup.model import Problem
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.stored import StoredFiles
from wedsync.backup.verification.files import StoredFile, read_files
from wedsync.backup.verification.reading import Reader
from wedsync.errors import WedsyncError

_AT_MOST = 32
"""Segments that are read: replay ends at the damaged one, and was seen a moment before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedSegment:
    """A damaged segment of a repository, and who has it whole."""

    segment: str
    problem: Problem
    whole_in: tuple[int, ...] = ()
    """Other repositories that were asked for it and gave it whole."""

    @property
    def words(self) -> str:
        """What is wrong with it, and where it is whole."""
        elsewhere = " and ".join(f"repo{repo}" for repo in self.whole_in)
        return f"{self.problem.problem}; {elsewhere or 'no other repository'} has it whole"


Examine = Callable[[int, str, Iterable[str]], Awaitable[DamagedSegment | None]]
"""Finds and notes the first damaged one of some segments of a cluster in a repository."""


class Examiner:
    """Reads segments of a cluster, wherever they are."""

    def __init__(self, *, pgbackrest: PgBackRest, stored: StoredFiles, reader: Reader, system_id: str) -> None:
        self._pgbackrest = pgbackrest
        self._stored = stored
        self._reader = reader
        self._system_id = system_id

    async def first_damaged(self, repo: int, names: Iterable[str]) -> DamagedSegment | None:
        """The first damaged one of these segments; `None`: none is, or the repository cannot be read now."""
        try:
            files, systems = await self._listed(repo)
            for name in islice((name for name in names if name in files), _AT_MOST):
                problem = await self._reader.check(files[name], system_ids=systems)
                if problem is not None:
                    return DamagedSegment(segment=name, problem=problem, whole_in=await self._holders(name, repo))
        except WedsyncError:
            return None
        return None

    async def _holders(self, name: str, damaged_in: int) -> tuple[int, ...]:
        found: list[int] = []
        for repo in self._pgbackrest.repos:
            if repo == damaged_in:
                continue
            try:
                files, systems = await self._listed(repo)
                if name in files and await self._reader.check(files[name], system_ids=systems) is None:
                    found.append(repo)
            except WedsyncError:
                continue  # it does not have it now
        return tuple(found)

    async def _listed(self, repo: int) -> tuple[Mapping[str, StoredFile], Mapping[str, str]]:
        """The cluster's segments by name, and system identifiers by archive id."""
        listed = read_files(await self._stored.listing(repo), repo=repo, stanza=self._pgbackrest.config.stanza)
        systems = {name: system_id for system_id, name in (await self._pgbackrest.clusters(repo)).items()}
        files = {
            file.segment: file
            for file in listed
            if file.segment is not None and systems.get(file.archive_id or "") == self._system_id
        }
        return files, systems
