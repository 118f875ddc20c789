"""From a query to SQL: one statement, whose answer PostgreSQL makes."""

from wedsync.api.rest.plan.model import Body, Estimate, Plan, Slot
from wedsync.api.rest.plan.node import Reading, Source, part_source, table_source
from wedsync.api.rest.plan.read import (
    JSON_ARRAY,
    NO_BODY,
    RESPONSE,
    ROW,
    ROWS,
    Count,
    Selection,
    estimate,
    plan_read,
    select_from,
    total,
)

__all__ = [
    "JSON_ARRAY",
    "NO_BODY",
    "RESPONSE",
    "ROW",
    "ROWS",
    "Body",
    "Count",
    "Estimate",
    "Plan",
    "Reading",
    "Selection",
    "Slot",
    "Source",
    "estimate",
    "part_source",
    "plan_read",
    "select_from",
    "table_source",
    "total",
]
