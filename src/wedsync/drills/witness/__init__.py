"""Witnesses: what the database was at exact places of the WAL, so that a restored copy can be compared with it."""

from wedsync.drills.witness.model import LeftOut, RowForm, Span, TableDigest, Witness
from wedsync.drills.witness.records import (
    catalogue_of,
    forget_witnesses,
    nearest_witness,
    newest_witness,
    record_witness,
)

__all__ = [
    "LeftOut",
    "RowForm",
    "Span",
    "TableDigest",
    "Witness",
    "catalogue_of",
    "forget_witnesses",
    "nearest_witness",
    "newest_witness",
    "record_witness",
]
