"""The same query with row-level security and without, by turns."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ground import Caller, Ground, signed_in
from psycopg import Connection
from psycopg.rows import TupleRow
from queries import Query

_WARM = 8
"""Runs before the count: caches, and for prepared statements PostgreSQL's choice of a generic plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Milliseconds of each pair, in the order they came."""

    under_rls: tuple[float, ...]
    bare: tuple[float, ...]
    rows: int

    @property
    def ratios(self) -> list[float]:
        return [ours / bare for ours, bare in zip(self.under_rls, self.bare, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


def compare(ground: Ground, query: Query, caller: Caller, *, pairs: int, prepare: bool) -> Pairs:
    """Run it by turns, for one wedding of the caller after the other; both must give the same rows.

    Not counted: the transaction's begin and end, and the two statements that sign the caller in.
    """
    with ground.connect() as ours, ground.connect() as bare:

        def under_rls(values: Mapping[str, Any]) -> tuple[float, list[TupleRow]]:
            with signed_in(ours, caller):
                return _timed(ours, query.text, values, prepare=prepare)

        def without(values: Mapping[str, Any]) -> tuple[float, list[TupleRow]]:
            with bare.transaction():
                return _timed(bare, query.text.replace("--tenant", query.bare_condition), values, prepare=prepare)

        return measure_pairs(under_rls, without, _values(caller, pairs + _WARM), what=query.name)


def measure_pairs(
    ours: Callable[[Mapping[str, Any]], tuple[float, list[TupleRow]]],
    bare: Callable[[Mapping[str, Any]], tuple[float, list[TupleRow]]],
    values: Sequence[Mapping[str, Any]],
    *,
    what: str,
) -> Pairs:
    """Both sides by turns, the other first each time; fails if they see different rows, or none."""
    found: list[tuple[float, float]] = []
    rows: list[TupleRow] = []
    for number, given in enumerate(values):
        if number % 2:
            (bare_ms, theirs), (ours_ms, rows) = bare(given), ours(given)
        else:
            (ours_ms, rows), (bare_ms, theirs) = ours(given), bare(given)
        assert rows == theirs, f"{what}: with row-level security {len(rows)} rows, without {len(theirs)}"
        assert rows, f"{what}: no rows"
        if number >= _WARM:
            found.append((ours_ms, bare_ms))
    return Pairs(under_rls=tuple(ms for ms, _ in found), bare=tuple(ms for _, ms in found), rows=len(rows))


def explain(ground: Ground, query: Query, caller: Caller) -> str:
    """The plan under row-level security, with what it took."""
    with ground.connect() as connection, signed_in(connection, caller):
        plan = connection.execute(
            f"explain (analyze, buffers, costs off) {query.text}".encode(), _values(caller, 1)[0]
        )
        return "\n".join(row[0] for row in plan)


def _values(caller: Caller, count: int) -> list[dict[str, Any]]:
    couples = caller.couples
    return [
        {"couple": couples[n % len(couples)], "couples": list(couples), "organization": caller.organization}
        for n in range(count)
    ]


def _timed(
    connection: Connection[TupleRow], text: str, values: Mapping[str, Any], *, prepare: bool
) -> tuple[float, list[TupleRow]]:
    began = time.perf_counter()
    rows = connection.execute(text.encode(), values, prepare=prepare).fetchall()
    return (time.perf_counter() - began) * 1000, rows
