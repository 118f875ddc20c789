"""The ledger as it is kept: one row for each thing that happened, appended, never rewritten."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from wedsync.migrations.files.migration import migration_id
from wedsync.migrations.ledger.status import Applied


class EventKind(StrEnum):
    """What a row of the ledger tells."""

    APPLIED = "applied"
    """A file ran."""
    REPAIRED = "repaired"
    """Another text than the one that ran was accepted for it."""
    BASELINE = "baseline"
    """A file was taken as applied: the database was there before the ledger."""
    UNDONE = "undone"
    """A file's rollback ran."""
    ADHOC = "adhoc"
    """A text that is no file ran."""
    OVERRIDE = "override"
    """A run went ahead on a day on which changes are frozen."""
    STEP_DECIDED = "step_decided"
    """A person said whether a step ran whose outcome could not be seen."""
    CHAINED = "chained"
    """Rows that had no authentication code got theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is about to be written into the ledger."""

    kind: EventKind
    name: str
    number: int | None = None
    """`None` for what is about no file."""
    checksum: str = ""
    raw_checksum: str = ""
    text: str = ""
    took_ms: int = 0
    reason: str | None = None
    detail: Mapping[str, object] = field(default_factory=dict[str, object])
    """What else should be known of it, such as the restore point before it."""

    @property
    def detail_text(self) -> str:
        """`detail` as the ledger keeps it: JSON, the same bytes for the same values."""
        return json.dumps(dict(self.detail), sort_keys=True, ensure_ascii=False, default=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One row of `ops.migrations`, without the text itself."""

    seq: int
    kind: str
    number: int | None
    name: str
    checksum: str
    raw_checksum: str
    text_sha256: str
    """Of the text that is stored, computed where it is stored."""
    applied_at: datetime
    took_ms: int
    by: str
    reason: str | None
    detail: str
    mac: str | None

    @property
    def id(self) -> str:
        """The migration it is about, else its own name."""
        return self.name if self.number is None else migration_id(self.number, self.name)

    def canonical(self) -> bytes:
        """The row's content as it is authenticated: every column but `mac`."""
        return json.dumps(
            [
                *(self.seq, self.kind, self.number, self.name, self.checksum, self.raw_checksum),
                *(self.text_sha256, self.applied_at.astimezone(UTC).isoformat(timespec="microseconds")),
                *(self.took_ms, self.by, self.reason, self.detail),
            ],
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()


def applied_now(rows: Iterable[LedgerRow]) -> list[Applied]:
    """What is applied after everything that happened; `rows` by `seq`, the answer by number."""
    found: dict[int, Applied] = {}
    for row in rows:
        if row.number is None:
            continue
        match row.kind:
            case EventKind.APPLIED | EventKind.BASELINE:
                found[row.number] = Applied(
                    number=row.number,
                    name=row.name,
                    checksum=row.checksum,
                    applied_at=row.applied_at,
                    took_ms=row.took_ms,
                    by=row.by,
                )
            case EventKind.REPAIRED if row.number in found:
                ran = found[row.number]
                found[row.number] = Applied(
                    number=row.number,
                    name=row.name,
                    checksum=row.checksum,
                    applied_at=ran.applied_at,
                    took_ms=ran.took_ms,
                    by=ran.by,
                )
            case EventKind.UNDONE:
                found.pop(row.number, None)
            case _:
                pass  # it is about no file, or of a kind that a newer version writes
    return [found[number] for number in sorted(found)]
