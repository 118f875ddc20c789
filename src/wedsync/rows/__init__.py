"""Rows of a moment of the past beside those of now: what differs, and bringing it back. Knows no weddings."""

from typing import TYPE_CHECKING

from wedsync.on_demand import names_on_demand

if TYPE_CHECKING:
    from wedsync.rows.chosen import choose_rows
    from wedsync.rows.compare import compare_tables
    from wedsync.rows.difference import Differences, OwnerDifference, RowDifference, RowKind, TableDifference
    from wedsync.rows.examples import differing_rows
    from wedsync.rows.kept import PastRecovery
    from wedsync.rows.mistakes import CHANGES, ChangeHistory, Decisions, Mistake
    from wedsync.rows.outcome import BroughtBack, Change, Choice, Conflict, OnConflict, RowPlan, TableOutcome, Why
    from wedsync.rows.recovery import RowOrder, RowRecoverer
    from wedsync.rows.staged import Scope, Staged
else:
    __getattr__ = names_on_demand(
        __name__,
        {
            "chosen": ("choose_rows",),
            "compare": ("compare_tables",),
            "difference": ("Differences", "OwnerDifference", "RowDifference", "RowKind", "TableDifference"),
            "examples": ("differing_rows",),
            "kept": ("PastRecovery",),
            "mistakes": ("CHANGES", "ChangeHistory", "Decisions", "Mistake"),
            "outcome": (
                "BroughtBack",
                "Change",
                "Choice",
                "Conflict",
                "OnConflict",
                "RowPlan",
                "TableOutcome",
                "Why",
            ),
            "recovery": ("RowOrder", "RowRecoverer"),
            "staged": ("Scope", "Staged"),
        },
    )

__all__ = [
    "CHANGES",
    "BroughtBack",
    "Change",
    "ChangeHistory",
    "Choice",
    "Conflict",
    "Decisions",
    "Differences",
    "Mistake",
    "OnConflict",
    "OwnerDifference",
    "PastRecovery",
    "RowDifference",
    "RowKind",
    "RowOrder",
    "RowPlan",
    "RowRecoverer",
    "Scope",
    "Staged",
    "TableDifference",
    "TableOutcome",
    "Why",
    "choose_rows",
    "compare_tables",
    "differing_rows",
]
