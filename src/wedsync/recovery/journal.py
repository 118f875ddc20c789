"""What a recovery has done so far, written down before it does the next thing, so that a killed one can go on."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from wedsync.database import Lsn
from wedsync.state import StateStore, as_moment, as_text


class Stage(StrEnum):
    """How far a recovery has come."""

    PLANNED = "planned"
    """Nothing was changed yet."""
    STOPPED = "stopped"
    """The present state is secured and the server is down; its files are as they were."""
    RESTORING = "restoring"
    """The files are neither the old ones nor the new ones."""
    REPLAYING = "replaying"
    PROMOTED = "promoted"
    """The server takes writes again, on a new timeline."""
    FINISHED = "finished"

    @property
    def files_are_whole(self) -> bool:
        """Whether the data directory may be started as it is."""
        return self in {Stage.PLANNED, Stage.STOPPED, Stage.PROMOTED, Stage.FINISHED}


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """The state before a recovery: the end of a timeline.

    The archive has it up to the restore point `name` (`None` when the server could not set one); what was not
    archived is in the directory `kept` of the home.
    """

    system_id: str
    timeline: int
    name: str | None
    at: datetime
    kept_segments: tuple[str, ...]
    end: Lsn | None = None
    """Where the last record begins that the server is known to have written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One recovery."""

    id: str
    target: str
    target_at: datetime | None
    stage: Stage
    started_at: datetime
    finished_at: datetime | None
    outcome: str
    """`running`, `done`, `abandoned` (nothing was changed) or `undone`."""
    plan: dict[str, Any]
    way_back: WayBack | None


def point_name(recovery: str) -> str:
    """Name of the restore point that a recovery sets before it begins."""
    return f"wedsync_before_{recovery}"


_ID = "%Y%m%dT%H%M%S"


def recovery_id(now: datetime) -> str:
    """The id of a recovery that begins now; ids sort by time."""
    return f"{now.astimezone(UTC):{_ID}}_{now.microsecond // 1000:03d}"


def began(recovery: str) -> datetime | None:
    """When the recovery with this id began, also one that the journal has forgotten; `None`: it is no id."""
    try:
        return datetime.strptime(recovery.partition("_")[0], _ID).replace(tzinfo=UTC)
    except ValueError:
        return None


class Journal:
    """The table `recoveries` of the state file."""

    def __init__(self, state: StateStore) -> None:
        self._state = state

    def begin(self, entry: JournalEntry) -> None:
        """Write a new recovery down."""
        self._state.write(
            "insert into recoveries (id, target_at, target, phase, started_at, outcome, plan, undo)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.id,
                as_text(entry.target_at) if entry.target_at else None,
                entry.target,
                entry.stage,
                as_text(entry.started_at),
                entry.outcome,
                json.dumps(entry.plan),
                _encode(entry.way_back),
            ),
        )

    def reach(self, entry: JournalEntry, stage: Stage) -> JournalEntry:
        """Note that the recovery has come to `stage`, and the way back as it is known now."""
        reached = replace(entry, stage=stage)
        self._state.write(
            "update recoveries set phase = ?, undo = ?, plan = ?, target = ?, target_at = ? where id = ?",
            (
                stage,
                _encode(reached.way_back),
                json.dumps(reached.plan),
                reached.target,
                as_text(reached.target_at) if reached.target_at else None,
                reached.id,
            ),
        )
        return reached

    def end(
        self, entry: JournalEntry, outcome: str, *, at: datetime, result: dict[str, Any] | None = None
    ) -> None:
        """Note how the recovery ended."""
        self._state.write(
            "update recoveries set outcome = ?, finished_at = ?, result = ?, phase = ? where id = ?",
            (outcome, as_text(at), json.dumps(result) if result else None, entry.stage, entry.id),
        )

    def unfinished(self) -> JournalEntry | None:
        """The recovery that was begun and did not end; there is one at the most."""
        row = self._state.row("select * from recoveries where outcome = 'running' order by rowid desc limit 1")
        return _entry(row) if row is not None else None

    def last_done(self) -> JournalEntry | None:
        """The newest recovery that ended well and can be undone."""
        row = self._state.row(
            "select * from recoveries where outcome = 'done' and undo is not null order by rowid desc limit 1"
        )
        return _entry(row) if row is not None else None

    def newest(self) -> str:
        """The recovery begun last that changed anything, and how it ended; empty if there is none."""
        row = self._state.row(
            "select id, outcome from recoveries where outcome <> 'abandoned'"
            " and phase not in ('planned', 'stopped') order by rowid desc limit 1"
        )
        return f"{row['id']} {row['outcome']}" if row is not None else ""

    def find(self, recovery: str) -> JournalEntry | None:
        """The recovery with this id."""
        row = self._state.row("select * from recoveries where id = ?", (recovery,))
        return _entry(row) if row is not None else None

    def all(self, *, limit: int) -> tuple[JournalEntry, ...]:
        """The last recoveries, newest first."""
        rows = self._state.rows("select * from recoveries order by rowid desc limit ?", (limit,))
        return tuple(_entry(row) for row in rows)

    def mark_undone(self, recovery_id: str) -> None:
        """Note that a recovery was undone by a later one."""
        self._state.write("update recoveries set outcome = 'undone' where id = ?", (recovery_id,))


def _encode(way_back: WayBack | None) -> str | None:
    if way_back is None:
        return None
    return json.dumps(
        {
            "system_id": way_back.system_id,
            "timeline": way_back.timeline,
            "name": way_back.name,
            "at": as_text(way_back.at),
            "kept_segments": list(way_back.kept_segments),
            "end": str(way_back.end) if way_back.end is not None else None,
        }
    )


def _entry(row: Any) -> JournalEntry:
    undo = json.loads(row["undo"]) if row["undo"] else None
    return JournalEntry(
        id=row["id"],
        target=row["target"],
        target_at=as_moment(row["target_at"]) if row["target_at"] else None,
        stage=Stage(row["phase"]),
        started_at=as_moment(row["started_at"]),
        finished_at=as_moment(row["finished_at"]) if row["finished_at"] else None,
        outcome=row["outcome"],
        plan=json.loads(row["plan"]),
        way_back=WayBack(
            system_id=undo["system_id"],
            timeline=undo["timeline"],
            name=undo["name"],
            at=as_moment(undo["at"]),
            kept_segments=tuple(undo["kept_segments"]),
            end=Lsn.parse(undo["end"]) if undo.get("end") else None,
        )
        if undo
        else None,
    )
