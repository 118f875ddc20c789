"""Which tables and functions a role may use: the description shows it no others."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from wedsync.database.pipeline import Result, Statement
from wedsync.sql import statements


@dataclass(frozen=True, slots=True)
class Visible:
    """Names of tables and views, oids of functions, all of one schema."""

    tables: frozenset[str]
    functions: frozenset[int]

    @classmethod
    def read(cls, results: Sequence[Result]) -> "Visible":
        """From what `visible_to_caller` gave."""
        rows = results[-1].rows
        if not rows:  # the schema was dropped a moment ago
            return cls(frozenset(), frozenset())
        tables, functions = (part or b"[]" for part in rows[0])
        return cls(
            frozenset(msgspec.json.decode(tables, type=list[str])),
            frozenset(msgspec.json.decode(functions, type=list[int])),
        )


def visible_to_caller(schema: str) -> Statement:
    """The question, to be run as the caller's role."""
    return Statement(statements("openapi")["visible"], (schema.encode(),))
