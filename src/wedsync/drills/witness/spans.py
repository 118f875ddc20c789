"""Which part of which table a witness reads: all of the small ones, of the large ones another part each time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wedsync.drills.witness.model import Span

_LEAST_BLOCKS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that could be read."""

    name: str
    blocks: int
    size_bytes: int
    """With what is stored out of line."""
    shape: str
    """Changes when the table was rewritten, emptied or given other columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A table and the part of it to read; `span` is `None` for all of it."""

    table: Table
    span: Span | None


def choose_spans(
    tables: Sequence[Table], *, budget_bytes: int, read_before: Mapping[str, Span]
) -> tuple[Share, ...]:
    """What to read of each table for about `budget_bytes` in all, the small ones first.

    Tables are read whole as long as each takes no more than its equal part of what is left. The others share the
    rest: each gets the blocks that follow its part of the last time (`read_before`), so that in time all are read.
    """
    shares: list[Share] = []
    left = budget_bytes
    waiting = sorted(tables, key=lambda table: (table.size_bytes, table.name))
    for at, table in enumerate(waiting):
        part = left // (len(waiting) - at)
        if table.size_bytes <= part or table.blocks <= _LEAST_BLOCKS:
            shares.append(Share(table=table, span=None))
            left = max(0, left - table.size_bytes)
        else:
            span = _next_span(table, part, read_before.get(table.name))
            shares.append(Share(table=table, span=span))
            left -= table.size_bytes * (span.end - span.first) // table.blocks
    return tuple(shares)


def _next_span(table: Table, part: int, before: Span | None) -> Span:
    """So many blocks as take `part` bytes, behind those of the last time; from the start again at the end."""
    count = max(_LEAST_BLOCKS, part * table.blocks // table.size_bytes)
    first = before.end if before is not None and before.end < table.blocks else 0
    return Span(first=first, end=min(first + count, table.blocks))
