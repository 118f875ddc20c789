"""Plans of the data API, run straight on a connection: what the planner makes, without the endpoint around it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import BaseConnection, pq

from wedsync.api.rest.plan import Count, Plan, Reading, Slot, plan_read
from wedsync.api.rest.query import Given, QueryLimits, Shape, parse, shape_of


class Refused(Exception):
    """PostgreSQL refused a statement."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate}: {message}")
        self.sqlstate = sqlstate
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What reading gave."""

    rows: Any
    page_total: int
    total: int | None
    sql: str


def run_read(
    connection: BaseConnection[Any],
    reading: Reading,
    table: str,
    query: bytes,
    *,
    count: Count | None = None,
) -> Read:
    """Shape, parse, plan and run `GET /table?query`. Raises `RestError` or `Refused`."""
    shape = shape_of(query, limits=QueryLimits())
    plan = plan_read(parse(shape.key), reading.catalogue.tables[reading.schema, table], reading, count=count)
    body, page_total, total, *_ = run_statement(connection, plan.sql, parameters(plan.slots, shape))[0]
    return Read(
        rows=None if body is None else json.loads(body),
        page_total=int(page_total or b"0"),
        total=None if total is None else int(total),
        sql=plan.sql.decode(),
    )


def estimate_of(connection: BaseConnection[Any], plan: Plan, shape: Shape) -> int:
    """What the second statement of a plan says."""
    assert plan.estimate is not None
    ((answer,),) = run_statement(connection, plan.estimate.sql, parameters(plan.estimate.slots, shape))
    assert answer is not None
    return int(json.loads(answer)[0]["Plan"]["Plan Rows"])


def parameters(slots: Sequence[Slot], shape: Shape) -> list[bytes]:
    """The parameters of a statement for the request with that shape."""
    filled: list[bytes] = []
    for slot in slots:
        if isinstance(slot.source, bytes):
            filled.append(slot.source)
        else:
            assert isinstance(slot.source, Given)
            value = shape.values[slot.source.number]
            filled.append((slot.convert(value) if slot.convert else value).encode())
    return filled


def run_statement(
    connection: BaseConnection[Any], sql: bytes, values: Sequence[bytes]
) -> list[tuple[bytes | None, ...]]:
    """The rows of one statement whose parameters have no type, as the gateway sends it."""
    result = connection.pgconn.exec_params(sql, values)
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise Refused(
            (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode(),
            (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message or b"").decode(),
        )
    return [tuple(result.get_value(row, at) for at in range(result.nfields)) for row in range(result.ntuples)]
