"""Why did replay end where it did? The WAL that it was given is read at once, without waiting for its turn."""

from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from wedsync.backup.model import Problem
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.stored import StoredFiles
from wedsync.backup.verification.files import read_files
from wedsync.backup.verification.reading import Reader
from wedsync.errors import WedsyncError

_AT_MOST = 32
"""Segments that are read: replay ends at the damaged one, and was seen a moment before."""

Examine = Callable[[int, str, Iterable[str]], Awaitable[Problem | None]]
"""Finds and notes the first damaged one of some segments of a cluster in a repository."""


async def first_damaged(
    pgbackrest: PgBackRest,
    stored: StoredFiles,
    reader: Reader,
    *,
    repo: int,
    system_id: str,
    names: Iterable[str],
) -> Problem | None:
    """The first damaged one of these segments; `None`: none is, or the repository cannot be read now."""
    try:
        listed = read_files(await stored.listing(repo), repo=repo, stanza=pgbackrest.config.stanza)
        systems = {archive.archive_id: archive.system_id for archive in await pgbackrest.archives(repo)}
        files = {file.segment: file for file in listed if systems.get(file.archive_id or "") == system_id}
        for name in islice((name for name in names if name in files), _AT_MOST):
            problem = await reader.check(files[name], system_ids=systems)
            if problem is not None:
                return problem
    except WedsyncError:
        return None
    return None
