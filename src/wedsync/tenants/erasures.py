"""The table `erasures` of the state file: what was erased for good, also when the database forgets it."""

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from wedsync.state import StateStore, as_moment, as_text
from wedsync.tenants.subject import Subject, SubjectKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """An erasure that was ordered; `erased_at` is `None` as long as it was not carried out."""

    id: UUID
    subject: Subject
    asked_at: datetime
    asked_by: str
    erased_at: datetime | None
    gone_from_backups_at: datetime | None


class ErasureBook:
    """Every erasure of a home."""

    def __init__(self, state: StateStore) -> None:
        self._state = state

    def begin(self, erasure: Erasure) -> None:
        """Write an erasure down before anything is erased."""
        self._state.write(
            "insert or ignore into erasures (id, subject_kind, subject_id, asked_at, asked_by)"
            " values (?, ?, ?, ?, ?)",
            (
                str(erasure.id),
                erasure.subject.kind.value,
                str(erasure.subject.id),
                as_text(erasure.asked_at),
                erasure.asked_by,
            ),
        )

    def learn(self, erasure: Erasure) -> None:
        """Write down one that was carried out and is not known here: the state file is younger than it."""
        self._state.write(
            "insert or ignore into erasures (id, subject_kind, subject_id, asked_at, asked_by, erased_at)"
            " values (?, ?, ?, ?, ?, ?)",
            (
                str(erasure.id),
                erasure.subject.kind.value,
                str(erasure.subject.id),
                as_text(erasure.asked_at),
                erasure.asked_by,
                as_text(erasure.erased_at or erasure.asked_at),
            ),
        )

    def forget(self, erasure_id: UUID) -> None:
        """Take back an erasure of which nothing was done."""
        self._state.write("delete from erasures where id = ? and erased_at is null", (str(erasure_id),))

    def end(self, erasure_id: UUID, *, at: datetime, gone_at: datetime | None, summary: dict[str, int]) -> None:
        """Note that it was carried out, and when the last backup with the values will be gone."""
        self._state.write(
            "update erasures set erased_at = ?, gone_from_backups_at = ?, summary = ? where id = ?",
            (as_text(at), as_text(gone_at) if gone_at else None, json.dumps(summary), str(erasure_id)),
        )

    def all(self) -> tuple[Erasure, ...]:
        """All of them, oldest first."""
        return tuple(
            Erasure(
                id=UUID(row["id"]),
                subject=Subject(kind=SubjectKind(row["subject_kind"]), id=UUID(row["subject_id"])),
                asked_at=as_moment(row["asked_at"]),
                asked_by=row["asked_by"],
                erased_at=as_moment(row["erased_at"]) if row["erased_at"] else None,
                gone_from_backups_at=(
                    as_moment(row["gone_from_backups_at"]) if row["gone_from_backups_at"] else None
                ),
            )
            for row in self._state.rows("select * from erasures order by asked_at, id")
        )
