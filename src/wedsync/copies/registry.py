"""The list of copies in the state file: which there are, what they show, when they were last used."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wedsync.copies.note import Note, Purpose, Stage
from wedsync.errors import CopyRefused
from wedsync.state import StateStore, as_moment, as_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A copy in the list."""

    id: str
    directory: Path
    purpose: Purpose
    stage: Stage
    target: str
    target_at: datetime | None
    last_commit_at: datetime | None
    repo: int
    label: str
    timeline: int
    made_at: datetime
    made_by: str
    last_used_at: datetime


class CopyRegistry:
    """Copies by id."""

    def __init__(self, state: StateStore) -> None:
        self._state = state

    def add(self, note: Note, directory: Path, *, by: str, most: int | None = None) -> None:
        """Note a copy that is being made. Raises `CopyRefused` if there are `most` like it already."""
        with self._state.transaction():
            there = [item for item in self.all() if item.purpose in note.purpose.like]
            if most is not None and len(there) >= most:
                raise CopyRefused(
                    f"there are {len(there)} copies for this purpose already ({note.purpose}): no more is made",
                    detail=", ".join(item.id for item in there),
                    hint="wedsync recover preview --remove ID; or allow more: preview.most",
                )
            self._insert(note, directory, by=by)

    def _insert(self, note: Note, directory: Path, *, by: str) -> None:
        self._state.write(
            "insert or replace into copies (id, directory, purpose, stage, target, target_at, last_commit_at,"
            " repo, label, timeline, made_at, made_by, last_used_at)"
            " values (?, ?, ?, ?, ?, ?, null, ?, ?, ?, ?, ?, ?)",
            (
                note.id,
                str(directory),
                note.purpose,
                note.stage,
                str(note.plan.order.target),
                as_text(note.target_at) if note.target_at else None,
                note.plan.repo,
                note.plan.base.label,
                note.target.timeline or note.plan.timeline,
                as_text(note.made_at),
                by,
                as_text(note.made_at),
            ),
        )

    def stands(self, note: Note, *, last_commit_at: datetime | None, at: datetime) -> None:
        """Note where a copy stands now: it was made, or moved on."""
        self._state.write(
            "update copies set purpose = ?, stage = ?, target_at = ?, last_commit_at = ?, timeline = ?,"
            " last_used_at = ? where id = ?",
            (
                note.purpose,
                note.stage,
                as_text(note.target_at) if note.target_at else None,
                as_text(last_commit_at) if last_commit_at else None,
                note.target.timeline or note.plan.timeline,
                as_text(at),
                note.id,
            ),
        )

    def used(self, copy: str, *, at: datetime) -> None:
        """Note that somebody used it."""
        self._state.write("update copies set last_used_at = ? where id = ?", (as_text(at), copy))

    def remove(self, copy: str) -> None:
        """Take it out of the list."""
        self._state.write("delete from copies where id = ?", (copy,))

    def forget_gone(self) -> None:
        """Take those out whose directory is not there any more."""
        for listed in self.all():
            if not listed.directory.exists():
                self.remove(listed.id)

    def all(self, purpose: Purpose | None = None) -> list[Listed]:
        """The copies, oldest first; of one purpose, if one is named."""
        rows = self._state.rows("select * from copies order by made_at, id")
        return [_listed(row) for row in rows if purpose in {None, row["purpose"]}]

    def find(self, copy: str) -> Listed | None:
        """The copy with this id."""
        row = self._state.row("select * from copies where id = ?", (copy,))
        return _listed(row) if row is not None else None


def _listed(row: sqlite3.Row) -> Listed:
    return Listed(
        id=row["id"],
        directory=Path(row["directory"]),
        purpose=Purpose(row["purpose"]),
        stage=Stage(row["stage"]),
        target=row["target"],
        target_at=as_moment(row["target_at"]) if row["target_at"] else None,
        last_commit_at=as_moment(row["last_commit_at"]) if row["last_commit_at"] else None,
        repo=row["repo"],
        label=row["label"],
        timeline=row["timeline"],
        made_at=as_moment(row["made_at"]),
        made_by=row["made_by"],
        last_used_at=as_moment(row["last_used_at"]),
    )
