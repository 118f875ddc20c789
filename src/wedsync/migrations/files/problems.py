"""What stops migrations from running: one value for every kind."""

from dataclasses import dataclass
from enum import StrEnum


class ProblemKind(StrEnum):
    """Why migrations do not run."""

    BAD_NAME = "bad_name"
    DUPLICATE_NUMBER = "duplicate_number"
    ROLLBACK_MISSING = "rollback_missing"
    ROLLBACK_ALONE = "rollback_alone"
    UNREADABLE = "unreadable"
    EMPTY = "empty"
    BAD_OPTION = "bad_option"
    UNKNOWN_DEPENDENCY = "unknown_dependency"
    CYCLE = "cycle"
    SYNTAX = "syntax"
    CANNOT_RUN = "cannot_run"
    EDITED = "edited"
    MISSING = "missing"
    LATE = "late"
    TAMPERED = "tampered"
    """A row of the ledger was changed by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that must be put right before anything runs."""

    kind: ProblemKind
    id: str
    """The migration, or the name of a file that is none."""
    message: str
    hint: str

    def to_json(self) -> dict[str, object]:
        return {"kind": self.kind.value, "id": self.id, "message": self.message, "hint": self.hint}
