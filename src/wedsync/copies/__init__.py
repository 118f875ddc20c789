"""Throw-away copies of the cluster at a moment of the past, beside the cluster itself."""

from wedsync.copies.choice import Answer, Choice, Standing, choose_preview
from wedsync.copies.copies import Copies
from wedsync.copies.copy import Copy
from wedsync.copies.effort import Effort
from wedsync.copies.idle import PreviewService, is_idle
from wedsync.copies.note import Note, Purpose, Stage
from wedsync.copies.plan import CopyOrder, CopyPlan
from wedsync.copies.registry import CopyRegistry, Listed
from wedsync.copies.standstill import Standstill

__all__ = [
    "Answer",
    "Choice",
    "Copies",
    "Copy",
    "CopyOrder",
    "CopyPlan",
    "CopyRegistry",
    "Effort",
    "Listed",
    "Note",
    "PreviewService",
    "Purpose",
    "Stage",
    "Standing",
    "Standstill",
    "choose_preview",
    "is_idle",
]
