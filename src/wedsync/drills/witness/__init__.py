"""Witnesses: what the database was at exact places of the WAL, so that a restored copy can be compared with it."""

from wedsync.drills.witness.compare import Compared, compare_copy, compare_digests
from wedsync.drills.witness.model import LeftOut, RowForm, Span, TableDigest, Witness
from wedsync.drills.witness.records import (
    catalogue_of,
    forget_witnesses,
    nearest_witness,
    newest_witness,
    record_witness,
)
from wedsync.drills.witness.service import WitnessService, WitnessSkipped, why_due, witness_if_possible
from wedsync.drills.witness.taking import Effort, WitnessTaker

__all__ = [
    "Compared",
    "Effort",
    "LeftOut",
    "RowForm",
    "Span",
    "TableDigest",
    "Witness",
    "WitnessService",
    "WitnessSkipped",
    "WitnessTaker",
    "catalogue_of",
    "compare_copy",
    "compare_digests",
    "forget_witnesses",
    "nearest_witness",
    "newest_witness",
    "record_witness",
    "why_due",
    "witness_if_possible",
]
