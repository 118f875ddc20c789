"""When the transactions in an archived WAL segment were committed; read once, then remembered."""

import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wedsync.backup.model import SegmentCommits
from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.wal import number_of, segment_name, timeline_of
from wedsync.cluster import Engine
from wedsync.database import SEGMENT_BYTES, Lsn
from wedsync.errors import SegmentUnreadable
from wedsync.process import Finished, run
from wedsync.state import StateStore, as_moment, as_text

_PAGE_BYTES = 8192
_PAGE_HEADER_BYTES = 24
_DUMP = timedelta(minutes=2)
_COMMIT = re.compile(
    r"len \(rec/tot\):\s*\d+/\s*(?P<size>\d+),.*? lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+),.*? "
    r"desc: COMMIT(?:_PREPARED)? (?:\d+: )?(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC"
)
_ENDS_EARLY = re.compile(r"error in WAL record at [0-9A-F]+/[0-9A-F]+: ")
_SKIPPED = re.compile(r"first record is after \S+, at (?P<lsn>[0-9A-F]+/[0-9A-F]+), skipping over")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit record of the WAL: when, where it starts, how long it is."""

    at: datetime
    lsn: Lsn
    size_bytes: int


def read_commits(lines: Iterable[str]) -> list[Commit]:
    """The commits in what `pg_waldump --rmgr=Transaction` printed in the time zone UTC, in WAL order."""
    return [
        Commit(
            at=datetime.fromisoformat(match["at"]).replace(tzinfo=UTC),
            lsn=Lsn.parse(match["lsn"]),
            size_bytes=int(match["size"]),
        )
        for match in map(_COMMIT.search, lines)
        if match is not None
    ]


async def dump_commits(engine: Engine, words: Sequence[str]) -> Finished:
    """What `pg_waldump` prints about transactions, for `read_commits`; not checked for its exit status."""
    return await run(
        [engine.program("pg_waldump"), "--rmgr=Transaction", *words],
        deadline=_DUMP,
        env=engine.environment | {"TZ": "UTC", "LC_ALL": "C"},
    )


def ends_early(dump: Finished) -> bool:
    """Whether the WAL was read up to a place where no record follows: its end, or damage.

    Both look alike to `pg_waldump`; only what comes behind the segment tells them apart.
    """
    return dump.exit_status != 0 and _ENDS_EARLY.search(dump.stderr) is not None


def reaches_into(commit: Commit, boundary: Lsn) -> bool:
    """Whether a record that starts before `boundary` ends behind it (pages between have headers, too)."""
    pages = boundary.position // _PAGE_BYTES - commit.lsn.position // _PAGE_BYTES
    end = commit.lsn.position + commit.size_bytes + max(pages - 1, 0) * _PAGE_HEADER_BYTES
    return commit.lsn.position < boundary.position < end


class CommitReader:
    """Commits by segment; each segment is fetched and read once, then known from the state file."""

    def __init__(self, *, pgbackrest: PgBackRest, state: StateStore) -> None:
        self._pgbackrest = pgbackrest
        self._state = state

    async def commit_times(self, segment: str, *, repo: int, system_id: str, last: bool = False) -> SegmentCommits:
        """The commits whose record ends in `segment`.

        `last`: no WAL follows it, so it may end inside, as the segment does in which a server was stopped or
        killed. Raises `SegmentUnreadable` if the repository does not have the segment, or cannot give it whole.
        """
        known = self._state.row(
            "select * from segment_commits where system_id = ? and segment = ?", (system_id, segment)
        )
        # What ends early in one repository may be damaged there, and whole in another.
        if known is not None and known["ends_early_in"] in ({None, repo} if last else {None}):
            return SegmentCommits(
                segment=segment,
                commits=known["commits"],
                first_at=as_moment(known["first_at"]) if known["first_at"] else None,
                last_at=as_moment(known["last_at"]) if known["last_at"] else None,
                last_lsn=Lsn.parse(known["last_lsn"]) if known["last_lsn"] else None,
            )
        found, is_whole = await self._read(segment, repo=repo, system_id=system_id, last=last)
        self._state.write(
            "insert or replace into segment_commits"
            " (system_id, segment, commits, first_at, last_at, last_lsn, ends_early_in)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            (
                system_id,
                segment,
                found.commits,
                as_text(found.first_at) if found.first_at else None,
                as_text(found.last_at) if found.last_at else None,
                str(found.last_lsn) if found.last_lsn else None,
                None if is_whole else repo,
            ),
        )
        return found

    async def _read(self, segment: str, *, repo: int, system_id: str, last: bool) -> tuple[SegmentCommits, bool]:
        """The commits, and whether the segment's WAL could be read to its end."""
        with tempfile.TemporaryDirectory(prefix="wal-", dir=self._pgbackrest.home.run) as scratch:
            directory = Path(scratch)
            if not await self._fetch(segment, directory, repo=repo, system_id=system_id):
                raise SegmentUnreadable(
                    f"repo{repo} does not have WAL segment {segment}",
                    hint="moments behind it can only be restored from a later backup",
                )
            dump = await self._dump(segment, ["--path", str(directory), segment], repo=repo, last=last)
            text = dump.stdout
            commits = read_commits(text.splitlines())
            skipped = _SKIPPED.search(text)
            if skipped is not None:
                commits = [
                    *await self._commit_before(
                        segment, Lsn.parse(skipped["lsn"]), directory, repo=repo, system_id=system_id
                    ),
                    *commits,
                ]
        times = [commit.at for commit in commits]
        found = SegmentCommits(
            segment=segment,
            commits=len(commits),
            first_at=min(times, default=None),
            last_at=max(times, default=None),
            last_lsn=commits[-1].lsn if commits else None,
        )
        return found, dump.exit_status == 0

    async def _commit_before(
        self, segment: str, first_record: Lsn, directory: Path, *, repo: int, system_id: str
    ) -> list[Commit]:
        """The commit that begins in the segment before and ends in this one, if the record there is one."""
        number = number_of(segment)
        before = segment_name(timeline_of(segment), number - 1)
        if not await self._fetch(before, directory, repo=repo, system_id=system_id):
            return []
        boundary = Lsn(number * SEGMENT_BYTES)
        dump = await self._dump(
            before,
            [
                f"--path={directory}",
                f"--timeline={timeline_of(segment)}",
                f"--start={Lsn(boundary.position - SEGMENT_BYTES)}",
                f"--end={first_record}",
            ],
            repo=repo,
            last=False,
        )
        return [commit for commit in read_commits(dump.stdout.splitlines())[-1:] if reaches_into(commit, boundary)]

    async def _fetch(self, segment: str, directory: Path, *, repo: int, system_id: str) -> bool:
        return await self._pgbackrest.archive_get(segment, directory / segment, repo=repo, system_id=system_id)

    async def _dump(self, segment: str, words: list[str], *, repo: int, last: bool) -> Finished:
        dump = await dump_commits(self._pgbackrest.engine, words)
        if dump.exit_status == 0 or (last and ends_early(dump)):
            return dump
        raise SegmentUnreadable(
            f"WAL segment {segment} in repo{repo} does not hold readable WAL", detail=dump.stderr.strip()[-400:]
        )
