"""Rows of a moment of the past beside those of now: what differs, and bringing it back. Knows no weddings."""

from typing import TYPE_CHECKING

from wedsync.on_demand import names_on_demand

if TYPE_CHECKING:
    from wedsync.rows.compare import compare_tables
    from wedsync.rows.difference import Differences, OwnerDifference, RowDifference, RowKind, TableDifference
    from wedsync.rows.examples import differing_rows
else:
    __getattr__ = names_on_demand(
        __name__,
        {
            "compare": ("compare_tables",),
            "difference": ("Differences", "OwnerDifference", "RowDifference", "RowKind", "TableDifference"),
            "examples": ("differing_rows",),
        },
    )

__all__ = [
    "Differences",
    "OwnerDifference",
    "RowDifference",
    "RowKind",
    "TableDifference",
    "compare_tables",
    "differing_rows",
]
