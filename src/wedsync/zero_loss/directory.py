"""Where received WAL lies: a directory for each run of it without a break, segments as pg_receivewal names them.

`00000001` holds what was received of timeline 1; `00000001.2` what came after the slot was lost, or the server was
taken back: pg_receivewal goes on behind the newest segment of its directory, and that one may not lead there.
"""

import re
import shutil
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

_SEGMENT = re.compile(r"([0-9A-F]{24})(\.partial)?")
_RUN = re.compile(r"([0-9A-F]{8})(?:\.(\d+))?")
_LONG_HEADER = 0x0002  # XLP_LONG_HEADER of xlog_internal.h: the first page of each segment has one


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSegment:
    """A segment that was received; of one that is still written to (`.partial`) the rest is zeros."""

    name: str
    source: Path

    @property
    def is_partial(self) -> bool:
        """Whether it was not received to its end."""
        return self.source.suffix == ".partial"


def received_segments(root: Path, *, system_id: str) -> list[ReceivedSegment]:
    """The segments of this cluster below `root`, by name; of two with the same name the one that has more."""
    found: dict[str, ReceivedSegment] = {}
    for run in runs(root):
        for segment in segments_of(run):
            other = found.get(segment.name)
            if (other is None or other.is_partial) and system_of(segment.source) == system_id:
                found[segment.name] = segment
    return [found[name] for name in sorted(found)]


def histories(root: Path) -> list[Path]:
    """The history files of timelines that came along."""
    return [path for run in runs(root) for path in sorted(run.glob("????????.history"))]


def runs(root: Path) -> list[Path]:
    """The directories below `root`, in the order in which they were begun."""
    try:
        found = [(_RUN.fullmatch(path.name), path) for path in root.iterdir() if path.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    named = [((match[1], int(match[2] or 1)), path) for match, path in found if match is not None]
    return [path for _, path in sorted(named)]


def segments_of(run: Path) -> Iterator[ReceivedSegment]:
    """The segments in one directory."""
    for path in sorted(run.iterdir()):
        match = _SEGMENT.fullmatch(path.name)
        if match is not None:
            yield ReceivedSegment(name=match[1], source=path)


def run_to_continue(root: Path, *, timeline: int, joins: bool) -> Path:
    """Where to receive a timeline: where it was before, if what comes `joins` that; else in a new place."""
    name = f"{timeline:08X}"
    before = [path for path in runs(root) if path.name.partition(".")[0] == name]
    if not before:
        return root / name
    return before[-1] if joins else root / f"{name}.{len(before) + 1}"


def system_of(segment: Path) -> str | None:
    """The system identifier of the cluster that wrote a segment; `None` if its first page does not say."""
    try:
        with segment.open("rb") as file:
            head = file.read(32)
    except OSError:
        return None
    if len(head) < 32:
        return None
    _, info, _, _, _, system = struct.unpack("<HHIQI4xQ", head)  # XLogLongPageHeaderData
    return str(system) if info & _LONG_HEADER else None


def tidy(
    root: Path, *, archived_up_to: str | None, keep: timedelta, now: datetime, lacks_from: str | None = None
) -> list[Path]:
    """Remove what is older than `keep` and in the archive; what was removed.

    `archived_up_to` is the newest segment that is archived, on the timeline of now; those of other timelines were
    archived, or put aside by a recovery, when theirs ended: they stay for a week all the same. From the place of
    `lacks_from` on, whatever the timeline, this is all that has the WAL besides the machine itself: it stays.
    """
    gone: list[Path] = []
    for run in runs(root):
        for segment in list(segments_of(run)):
            is_only_copy = lacks_from is not None and segment.name[8:] >= lacks_from[8:]
            if not segment.is_partial and not is_only_copy and _is_over(segment, archived_up_to, keep, now):
                segment.source.unlink(missing_ok=True)
                gone.append(segment.source)
    return gone


def drop_empty(root: Path, *, but: Collection[Path]) -> None:
    """Remove directories without segments."""
    for run in runs(root):
        if run not in but and not any(segments_of(run)):
            shutil.rmtree(run)


_OTHER_TIMELINES = timedelta(days=7)


def _is_over(segment: ReceivedSegment, archived_up_to: str | None, keep: timedelta, now: datetime) -> bool:
    try:
        age = timedelta(seconds=now.timestamp() - segment.source.stat().st_mtime)
    except FileNotFoundError:
        return False
    if archived_up_to is not None and segment.name[:8] == archived_up_to[:8]:
        return segment.name <= archived_up_to and age > keep
    return age > max(keep, _OTHER_TIMELINES)
