"""Whether the content of a WAL segment is what its name says (PostgreSQL source, access/xlog_internal.h)."""

import hashlib
import struct
from collections.abc import Iterator

from wedsync.backup.wal import number_of, timeline_of
from wedsync.database import SEGMENT_BYTES

_PAGE_BYTES = 8192
_PAGE = struct.Struct("<HHIQ")
"""Magic, flags, timeline, address: how each page begins."""
_LONG = struct.Struct("<QII")
"""System identifier, size of a segment, size of a page: on the first page, behind 24 bytes."""
_LONG_AT = 24
_IS_LONG = 0x0002


def judge_segment(name: str, content: bytes, *, system_id: str, sha1: str | None) -> str | None:
    """What is wrong with the content of a segment, in words; `None`: nothing.

    `sha1` is the checksum in the file's name; `None` where no archive has one.
    """
    if sha1 is not None and hashlib.sha1(content, usedforsecurity=False).hexdigest() != sha1:
        return "its content is not what was archived"
    if len(content) != SEGMENT_BYTES:
        return f"it has {len(content)} bytes, a segment has {SEGMENT_BYTES}"
    return next(_header_problems(name, content, system_id), None) or _judge_pages(name, content)


def _header_problems(name: str, content: bytes, system_id: str) -> Iterator[str]:
    magic, flags, timeline, address = _PAGE.unpack_from(content)
    writer, segment_bytes, page_bytes = _LONG.unpack_from(content, _LONG_AT)
    if not flags & _IS_LONG or magic == 0:
        yield "it does not begin as a WAL segment does"
    if (segment_bytes, page_bytes) != (SEGMENT_BYTES, _PAGE_BYTES):
        yield f"it is of a cluster with segments of {segment_bytes} bytes"
    if str(writer) != system_id:
        yield f"it is of another cluster (system identifier {writer})"
    if address != number_of(name) * SEGMENT_BYTES:
        yield f"it holds the WAL of another place ({address >> 32:X}/{address & 0xFFFFFFFF:X})"
    if timeline > timeline_of(name):  # one in which a timeline begins starts with pages of its parent
        yield f"it holds WAL of timeline {timeline}"


def _judge_pages(name: str, content: bytes) -> str | None:
    """Own pages come first; behind the end of the WAL there may be zeros, or what a recycled file held."""
    begin, timeline = number_of(name) * SEGMENT_BYTES, timeline_of(name)
    magic = _PAGE.unpack_from(content)[0]
    ended_at: int | None = None
    for offset in range(0, SEGMENT_BYTES, _PAGE_BYTES):
        own_magic, _, own_timeline, address = _PAGE.unpack_from(content, offset)
        is_own = own_magic == magic and address == begin + offset and own_timeline <= timeline
        if is_own and ended_at is not None:
            return f"its pages are not in order: one is missing at byte {ended_at}"
        if not is_own and ended_at is None:
            ended_at = offset
    return None
