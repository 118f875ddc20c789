"""Reading a table: one statement for rows and counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from wedsync.api.rest.plan.model import Estimate, Plan
from wedsync.api.rest.plan.node import Child, Node, Reading, Source, table_source
from wedsync.api.rest.plan.resolve import resolve
from wedsync.api.rest.plan.select import Selecting
from wedsync.api.rest.plan.sql import Sql, compose, identifier, number, rendered
from wedsync.api.rest.query import Query
from wedsync.database.catalogue import Table

ROWS = "wedsync_rows"
"""What the rows of the answer are called where its body is made."""
ROW = compose("{}.*", identifier(ROWS))
"""One of them, whole; without `.*` it could be a column that a client named so."""
JSON_ARRAY = compose("coalesce(json_agg({}), '[]')", ROW)
NO_BODY = compose("null::text")
JSON = "application/json"
RESPONSE = compose(
    "nullif(current_setting('response.headers', true), '') as response_headers, "
    "nullif(current_setting('response.status', true), '') as response_status"
)


class Count(StrEnum):
    """`Prefer: count=…`."""

    EXACT = "exact"
    PLANNED = "planned"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a query selects from its source, as SQL to build statements with."""

    rows: Sql
    """`select …`, with filters, order, limit and offset."""
    counted: Sql
    """`select from …`: a row for each that there would be without limit and offset."""
    is_limited: bool
    """Whether `rows` may be fewer than `counted`."""
    needs: frozenset[str] | None
    """The columns that the source has to have; `None`: all."""
    is_plain: bool
    """Whether whole rows are selected and nothing besides: custom media types are for these."""
    warning: str | None
    """What the client should write differently."""


def select_from(query: Query, source: Source, reading: Reading) -> Selection:
    """Plan the query's tree over its source. Raises `RestError`."""
    root = resolve(query, source, reading)
    selecting = Selecting(reading)
    return Selection(
        rows=selecting.rows(root),
        counted=selecting.count(root),
        is_limited=reading.max_rows is not None or root.limit is not None or root.offset is not None,
        needs=needed_columns(root),
        warning=_warning(root),
        is_plain=not root.children
        and [item.field.name for item in root.fields] == ["*"]
        and root.fields[0].aggregate is None,
    )


def plan_read(
    query: Query,
    table: Table,
    reading: Reading,
    *,
    count: Count | None = None,
    body: Sql = JSON_ARRAY,
    media_type: str = JSON,
) -> Plan:
    """The plan of `GET /table?query`; of `HEAD` with `NO_BODY`. Raises `RestError`.

    `body` makes the answer of the rows, called `ROWS`.
    """
    selection = select_from(query, table_source(table), reading)
    sql, slots = rendered(
        compose(
            "select {} as body, count(*) as page_total, {} as total, {} from ({}) as {}",
            body,
            total(selection, reading, count),
            RESPONSE,
            selection.rows,
            identifier(ROWS),
        )
    )
    return Plan(
        sql=sql,
        slots=slots,
        read_only=True,
        media_type=media_type,
        estimate=estimate(selection, reading, count),
        warning=selection.warning,
    )


def total(selection: Selection, reading: Reading, count: Count | None) -> Sql:
    """The number of rows without limit and offset, as far as it is asked for."""
    match count:
        case None | Count.PLANNED:
            return compose("null::bigint")
        case Count.EXACT if not selection.is_limited:
            return compose("count(*)")
        case Count.EXACT:
            return compose("(select count(*) from ({}) as counted)", selection.counted)
        case Count.ESTIMATED:
            most = compose(" limit {}", number(_counted_up_to(reading) + 1))
            return compose("(select count(*) from ({}{}) as counted)", selection.counted, most)


def estimate(selection: Selection, reading: Reading, count: Count | None) -> Estimate | None:
    """The second statement that asks PostgreSQL's planner."""
    if count in {None, Count.EXACT}:
        return None
    sql, slots = rendered(compose("explain (format json) {}", selection.counted))
    return Estimate(sql=sql, slots=slots, above=_counted_up_to(reading) if count is Count.ESTIMATED else None)


def _counted_up_to(reading: Reading) -> int:
    return reading.estimate_above if reading.max_rows is None else reading.max_rows


def needed_columns(root: Node) -> frozenset[str] | None:
    """The columns of the root's rows that the tree uses; `None` where whole rows are needed."""
    names = {item.field.name for item in root.fields if not (item.field.name == "*" and item.aggregate)}
    names |= {term.field.name for term in root.order if term.relation is None}
    for child in root.children:
        if child.way.function is not None:
            return None
        pairs = child.way.junction.source_columns if child.way.junction else child.way.columns
        names |= {own for own, _ in pairs}
    return None if "*" in names else frozenset(names)


def _warning(root: Node) -> str | None:
    """That relations with an alias are called by their own names, in PostgREST's words."""
    renamed = ", ".join(f"`{child.target}` to `{child.key}`" for child in _called_by_target(root))
    if not renamed:
        return None
    return (
        "Embedded resource was referenced by relation name even though it has an alias. This is deprecated and "
        f"will stop working in a future release. Update {renamed} in query string filters, orders or limits."
    )


def _called_by_target(node: Node) -> Iterator[Child]:
    for child in node.children:
        if child.is_called_by_target:
            yield child
        yield from _called_by_target(child.node)
