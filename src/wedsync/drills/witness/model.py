"""What was recorded of a database at one exact place of the WAL, to compare a restored copy with."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from wedsync.database import Lsn


class RowForm(StrEnum):
    """Which form of a row is digested."""

    BINARY = "binary"
    """What the types send over the wire: independent of every setting."""
    TEXT = "text"
    """Where a type has no binary form; the settings that change it are pinned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Blocks of a table, the first included, the last not. They are the same in a physical copy."""

    first: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDigest:
    """The rows of one table: how many, and a digest that does not hang on their order."""

    table: str
    """Qualified and quoted as SQL takes it."""
    rows: int
    digest: str
    """Sum of 64-bit hashes of the rows: a row more, less, doubled or changed changes it. No protection against
    forgery."""
    form: RowForm
    span: Span | None = None
    """The blocks that were read; `None`: the whole table."""
    blocks: int = 0
    """Blocks that the whole table has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A table that was not digested, and why."""

    table: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A database as it was when all transactions had committed whose record ends before `lsn`, and no other.

    A copy that stops right before `lsn` (`recovery_target_lsn`, not inclusive) shows the same.
    """

    id: int | None = None
    """In the state file; `None`: not written there."""
    at: datetime
    """The server's clock when it was taken: no commit in it is later."""
    system_id: str
    timeline: int
    lsn: Lsn
    database: str
    reason: str
    """Why it was taken: `schedule`, `backup`, `migration`, `operator`."""
    tables: tuple[TableDigest, ...]
    left_out: tuple[LeftOut, ...] = ()
    catalogue: str | None = None
    """Digest of what the catalogue said of tables, constraints, policies, rights; `None`: it was being changed."""
    took_s: float
    waited_s: float = 0.0
    """How much of it was the wait for transactions that were open."""

    @property
    def rows(self) -> int:
        """Rows that were digested."""
        return sum(table.rows for table in self.tables)
