"""The client's own record of what the server acknowledged: one JSON line a transaction, fsync'ed.

Compared with `ops.demo_commits` after a crash or a recovery it proves what was kept: a line `committed` must
be in the database (or have been committed after the moment that was restored), a line `unknown` may be.
"""

import asyncio
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path


class Outcome(StrEnum):
    """What the client knows of a transaction's end."""

    COMMITTED = "committed"
    """The server acknowledged the commit."""
    UNKNOWN = "unknown"
    """The connection was lost during COMMIT, or the server warned that a standby may not have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerLine:
    """One transaction. The server committed it between `committed_at` and `acknowledged_at`."""

    seq: int
    writer: int
    kind: str
    outcome: Outcome
    committed_at: datetime
    """The server's clock just before COMMIT."""
    acknowledged_at: datetime
    """This machine's clock when the answer to COMMIT arrived, or was given up."""

    def to_line(self) -> str:
        return (
            json.dumps(
                {
                    "seq": self.seq,
                    "writer": self.writer,
                    "kind": self.kind,
                    "outcome": self.outcome.value,
                    "committed_at": self.committed_at.astimezone(UTC).isoformat(timespec="microseconds"),
                    "acknowledged_at": self.acknowledged_at.astimezone(UTC).isoformat(timespec="microseconds"),
                }
            )
            + "\n"
        )


class Ledger:
    """Appends lines; those of one moment share an fsync. `None` as path keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else _open(path)
        self._waiting: list[str] = []
        self._flushing = asyncio.Lock()

    async def append(self, line: LedgerLine) -> None:
        """Return when the line is on disk."""
        if self._file is None:
            return
        text = line.to_line()
        self._waiting.append(text)
        async with self._flushing:
            if text not in self._waiting:
                return  # the writer before us took our line with its own
            taken, self._waiting = self._waiting, []
            await asyncio.to_thread(_write_durably, self._file, "".join(taken).encode())

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def newest_seq(path: Path | None) -> int:
    """The highest sequence number in a ledger; 0 where there is none yet."""
    if path is None or not path.exists():
        return 0
    return max((line.seq for line in read_ledger(path)), default=0)


def read_ledger(path: Path) -> Iterator[LedgerLine]:
    """The lines of a ledger; a last line that was cut off by a crash of the writer is left out."""
    with path.open(encoding="utf-8") as file:
        yield from parse_ledger(file)


def parse_ledger(lines: Iterable[str]) -> Iterator[LedgerLine]:
    """Ledger lines of text lines."""
    for line in lines:
        if not line.endswith("\n"):
            return
        fields = json.loads(line)
        yield LedgerLine(
            seq=fields["seq"],
            writer=fields["writer"],
            kind=fields["kind"],
            outcome=Outcome(fields["outcome"]),
            committed_at=datetime.fromisoformat(fields["committed_at"]),
            acknowledged_at=datetime.fromisoformat(fields["acknowledged_at"]),
        )


def _open(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    size_bytes = os.fstat(file).st_size
    tail = os.pread(file, 4096, max(0, size_bytes - 4096))
    os.ftruncate(file, size_bytes - (len(tail) - (tail.rfind(b"\n") + 1)))  # a line cut off by a crash
    return file


def _write_durably(file: int, text: bytes) -> None:
    while text:
        text = text[os.write(file, text) :]
    os.fsync(file)
