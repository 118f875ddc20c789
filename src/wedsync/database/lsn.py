"""A position in the write-ahead log."""

import re
from dataclasses import dataclass
from typing import Self

SEGMENT_BYTES = 16 * 1024 * 1024
"""PostgreSQL's default `wal_segment_size`; clusters that the platform makes have it."""
_WRITTEN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


@dataclass(frozen=True, slots=True, order=True)
class Lsn:
    """A byte position in the WAL; `pg_lsn` in SQL. Positions of different timelines do not compare."""

    position: int

    def __post_init__(self) -> None:
        if not 0 <= self.position < 1 << 64:
            raise ValueError(f"{self.position} is no position in the WAL: it has 64 bits")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position that PostgreSQL writes as `0/3000028`; `ValueError` for anything else."""
        match = _WRITTEN.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no WAL position; it looks like 0/3000028")
        return cls((int(match[1], 16) << 32) | int(match[2], 16))

    def __str__(self) -> str:
        return f"{self.position >> 32:X}/{self.position & 0xFFFFFFFF:X}"

    def __sub__(self, other: "Lsn") -> int:
        """Bytes of WAL from `other` to this position; negative if `other` is later."""
        return self.position - other.position

    def segment_file(self, timeline: int, *, segment_bytes: int = SEGMENT_BYTES) -> str:
        """Name of the segment file on `timeline` that holds the byte at this position.

        A position at a boundary belongs to the segment that starts there (`pg_walfile_name` says the one
        before, since it asks about the last byte written).
        """
        per_log = (1 << 32) // segment_bytes
        number = self.position // segment_bytes
        return f"{timeline:08X}{number // per_log:08X}{number % per_log:08X}"
