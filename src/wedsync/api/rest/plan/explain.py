"""PostgreSQL's plan of a statement, instead of its rows."""

from collections.abc import Sequence
from dataclasses import replace

from wedsync.api.rest.plan.model import Plan

_OPTIONS = {
    "analyze": b"analyze",
    "verbose": b"verbose",
    "settings": b"settings",
    "buffers": b"buffers",
    "wal": b"wal",
}


def explained(plan: Plan, form: str, options: Sequence[str]) -> Plan:
    """The plan whose answer is how PostgreSQL would carry it out; with `analyze` it is carried out."""
    words = [b"format json" if form == "json" else b"format text", *(_OPTIONS[option] for option in options)]
    return replace(plan, sql=b"explain (" + b", ".join(words) + b") " + plan.sql, estimate=None, is_explained=True)
