"""What recoveries put aside: `kept/<recovery>` in the home, with the WAL that no archive has."""

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from wedsync.backup import is_segment_name
from wedsync.recovery.local_wal import LocalSegment

_HISTORY = "????????.history"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The directory `kept` of a home: one below it for each recovery, named by its id (they sort by time)."""

    root: Path

    def of(self, recovery: str) -> Path:
        """Directory of one recovery; it may not be there."""
        return self.root / recovery

    def recoveries(self) -> list[str]:
        """Recoveries that have something here, oldest first."""
        return sorted(path.name for path in self.root.iterdir() if path.is_dir()) if self.root.is_dir() else []

    def segments(self) -> list[LocalSegment]:
        """All segments, by name; of two with the same name the one kept last, which has more in it."""
        found = {path.name: path for recovery in self.recoveries() for path in self._names(recovery)}
        return [LocalSegment(name=name, source=source) for name, source in sorted(found.items())]

    def segments_of(self, recovery: str) -> list[str]:
        """Names of the segments that one recovery put aside."""
        return sorted(path.name for path in self._names(recovery))

    def histories(self) -> list[Path]:
        """The history files of timelines, each once; the one kept last of two with the same name."""
        found = {path.name: path for item in self.recoveries() for path in self.histories_of(item)}
        return [path for _, path in sorted(found.items())]

    def histories_of(self, recovery: str) -> list[Path]:
        """The history files that one recovery put aside."""
        return sorted(self.of(recovery).glob(_HISTORY))

    def keep_histories(self, recovery: str, pgdata: Path) -> None:
        """Put the history files of a data directory aside: without them no timeline leads to its parent."""
        for path in (pgdata / "pg_wal").glob(_HISTORY):
            self.of(recovery).mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copyfile(path, self.of(recovery) / path.name)

    def forget_links(self, recovery: str, pgdata: Path) -> None:
        """Drop what is in `pgdata` still: the server that starts there again goes on writing to it."""
        for path in list(self._names(recovery)):
            present = pgdata / "pg_wal" / path.name
            if present.exists() and present.samefile(path):
                path.unlink()
        for path in self.histories_of(recovery):
            if (pgdata / "pg_wal" / path.name).exists():
                path.unlink()
        if self.of(recovery).is_dir() and not any(self.of(recovery).iterdir()):
            self.of(recovery).rmdir()

    def tidy(self, needed: Collection[str]) -> list[str]:
        """Remove what belongs to recoveries other than `needed`; their ids."""
        gone = [recovery for recovery in self.recoveries() if recovery not in needed]
        for recovery in gone:
            shutil.rmtree(self.of(recovery))
        return gone

    def _names(self, recovery: str) -> Iterator[Path]:
        directory = self.of(recovery)
        if directory.is_dir():
            yield from (path for path in directory.iterdir() if is_segment_name(path.name))


def put_back_histories(histories: Collection[Path], pgdata: Path) -> None:
    """Copy kept history files into a restored data directory, so that no number of a timeline is used twice."""
    wal = pgdata / "pg_wal"
    wal.mkdir(exist_ok=True, mode=0o700)
    for path in histories:
        shutil.copyfile(path, wal / path.name)
        (wal / path.name).chmod(0o600)


def put_back(segments: Collection[LocalSegment], pgdata: Path) -> int:
    """Copy kept segments into a restored data directory; how many. Recovery asks the archive first."""
    wal = pgdata / "pg_wal"
    wal.mkdir(exist_ok=True, mode=0o700)
    for segment in segments:
        shutil.copyfile(segment.source, wal / segment.name)
        (wal / segment.name).chmod(0o600)
    return len(segments)
