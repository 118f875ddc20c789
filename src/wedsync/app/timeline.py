"""What somebody looks at who has to say to which moment: the command line and the operations API show the same."""

import json
from datetime import datetime, timedelta

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, dict_row

from wedsync.app.platform import Platform
from wedsync.app.recoveries import recovery_window
from wedsync.backup import RecoveryWindows
from wedsync.drills import Outcome
from wedsync.errors import UsageProblem, WedsyncError
from wedsync.recovery import Happening, HappeningKind, JournalEntry, Timeline, Unknown, judged, right_before
from wedsync.sql import statements
from wedsync.tenants import ErasureBook, read_bulk_changes, read_loads
from wedsync.words import duration_words

FEWEST_ROWS = 10
"""A transaction that deletes or changes fewer rows is not listed unless it is asked for."""
_SHOWN = timedelta(days=1)
_MOST_CHANGES = 500
_RECOVERIES = 1000
_LEDGER_WORDS = {
    "applied": "migration",
    "undone": "rollback of migration",
    "adhoc": "change of the schema",
    "baseline": "taken as applied: migration",
    "repaired": "another text accepted for migration",
    "override": "frozen day overridden:",
    "step_decided": "a step was decided of migration",
    "chained": "ledger authenticated:",
}
_OUTCOME_WORDS = {"running": " (under way)", "undone": " (and undone)"}


async def read_timeline(
    platform: Platform,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    least: int = FEWEST_ROWS,
) -> Timeline:
    """What can be restored, and what happened: in the day before `until` (now) unless `since` says otherwise.

    What cannot be found out, as while the database is away, is said in `unknown`. Raises `UsageProblem` for
    moments in the wrong order.
    """
    until = until or platform.clock.now()
    since = since or until - _SHOWN
    if since >= until:
        raise UsageProblem(
            "nothing lies between these moments", detail=f"from {since} to {until}", hint="swap them"
        )
    unknown: list[Unknown] = []
    windows = await _windows(platform, unknown)
    happenings = [*_recoveries(platform), *_erasures(platform), *_drills(platform)]
    happenings += await _of_database(platform, since=since, until=until, least=least, unknown=unknown)
    shown = sorted((each for each in happenings if since <= each.at <= until), key=lambda each: each.at)
    return Timeline(
        from_at=since,
        to_at=until,
        windows=windows.windows if windows else (),
        moments=windows.moments if windows else (),
        gaps=windows.gaps if windows else (),
        backups=windows.backups if windows else (),
        problems=windows.problems if windows else (),
        happenings=[judged(each, windows) for each in shown],
        unknown=unknown,
    )


class HomeTimeline:
    """What `/api/recovery/timeline` asks."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def timeline(self, *, since: datetime | None, until: datetime | None, least: int) -> Timeline:
        """The timeline of the home."""
        return await read_timeline(self._platform, since=since, until=until, least=least)


async def _windows(platform: Platform, unknown: list[Unknown]) -> RecoveryWindows | None:
    try:
        return await recovery_window(platform)
    except WedsyncError as error:
        unknown.append(Unknown(what="which moments can be restored", why=error.in_one_line()))
        return None


async def _of_database(
    platform: Platform, *, since: datetime, until: datetime, least: int, unknown: list[Unknown]
) -> list[Happening]:
    """What the live database knows of its own past."""
    try:
        async with await platform.owner_target.connect() as connection:
            await connection.execute(statements("timeline")["looks_at_all"])
            row = await (await connection.execute(statements("timeline")["what_is_there"])).fetchone()
            assert row is not None  # noqa: S101 - a select without from has one row
            has_history, has_ledger, knows_commits = row
            found: list[Happening] = []
            if has_history:
                found += await read_bulk_changes(
                    connection, since=since, until=until, least=least, limit=_MOST_CHANGES
                )
                if len(found) == _MOST_CHANGES:
                    unknown.append(
                        Unknown(
                            what=f"changes before {found[-1].at.isoformat()}",
                            why=f"only the newest {_MOST_CHANGES} are listed: ask for less time, or for more rows",
                        )
                    )
                found += await read_loads(connection, since=since, until=until)
            else:
                unknown.append(Unknown(what="who changed what", why="this database records no history"))
            if has_ledger:
                found += await _schema_changes(connection, since=since, until=until)
            if not knows_commits:
                unknown.append(
                    Unknown(what="when transactions committed", why="track_commit_timestamp is off on this server")
                )
            return found
    except (WedsyncError, psycopg.Error) as error:
        said = error.in_one_line() if isinstance(error, WedsyncError) else " ".join(str(error).split())
        unknown.append(Unknown(what="who changed what, and changes of the schema", why=said))
        return []


async def _schema_changes(
    connection: AsyncConnection[TupleRow], *, since: datetime, until: datetime
) -> list[Happening]:
    """What was done to the schema, and the restore points before it."""
    found: list[Happening] = []
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statements("timeline")["schema_changes"], {"since": since, "until": until})
        for row in await cursor.fetchall():
            told = json.loads(row["detail"])
            point = told.get("restore_point")
            point_at = datetime.fromisoformat(told["restore_to"]) if point else None
            at = row["committed_at"] or row["applied_at"]
            # One restore point for a whole run: each file of it begins where the one before has ended.
            found_at = next(
                (each.at for each in reversed(found) if point and each.detail.get("restore_point") == point), None
            )
            name = row["name"] if row["number"] is None else f"{row['number']:04d}_{row['name']}"
            found.append(
                Happening(
                    at=at,
                    kind=HappeningKind.SCHEMA_CHANGED,
                    words=f"{_LEDGER_WORDS.get(row['kind'], row['kind'])} {name}",
                    by=row["by"],
                    before=found_at or point_at or right_before(at),
                    exact=row["committed_at"] is not None,
                    detail={"kind": row["kind"], "name": name, "reason": row["reason"], "restore_point": point},
                )
            )
            if point_at is not None and not any(each.detail.get("name") == point for each in found):
                found.append(_named_point(point, point_at, by=row["by"], why=f"before {name}"))
    return found


def _recoveries(platform: Platform) -> list[Happening]:
    """Recoveries that changed the database, and the places where the state before each ends."""
    if not platform.is_local:
        return []
    found: list[Happening] = []
    for entry in platform.recoverer.journal.all(limit=_RECOVERIES):
        if entry.outcome == "abandoned":
            continue
        found.append(_recovery(entry))
        if entry.way_back is not None and entry.way_back.name is not None:
            found.append(_named_point(entry.way_back.name, entry.way_back.at, by=None, why="before a recovery"))
    return found


def _recovery(entry: JournalEntry) -> Happening:
    target = entry.target_at.isoformat() if entry.target_at else entry.target
    return Happening(
        at=entry.finished_at or entry.started_at,
        kind=HappeningKind.RECOVERED,
        words=f"the whole database was taken back to {target}" + _OUTCOME_WORDS.get(entry.outcome, ""),
        detail={"recovery": entry.id, "outcome": entry.outcome},
    )


def _erasures(platform: Platform) -> list[Happening]:
    return [
        Happening(
            at=erasure.erased_at,
            kind=HappeningKind.ERASED,
            words=f"{erasure.subject} was erased for good: a recovery to before it erases it again",
            by=erasure.asked_by,
            detail={"erasure": str(erasure.id)},
        )
        for erasure in ErasureBook(platform.state).all()
        if erasure.erased_at is not None
    ]


def _drills(platform: Platform) -> list[Happening]:
    """Restores that were tried and said something; nothing of the database was changed by them."""
    if not platform.is_local:
        return []
    return [
        Happening(
            at=drill.finished_at,
            kind=HappeningKind.DRILL,
            words=f"backup {drill.source.label} of repo{drill.source.repo} was restored elsewhere"
            + (
                f" and passed, back in {duration_words(drill.rto_s)}"
                if drill.outcome is Outcome.PASSED and drill.rto_s is not None
                else f": {drill.outcome}"
            ),
            by=drill.asked_by,
            detail={
                "drill": drill.id,
                "outcome": drill.outcome.value,
                "repo": drill.source.repo,
                "label": drill.source.label,
                "restored_to": drill.restored_to.isoformat() if drill.restored_to is not None else None,
                "rto_s": drill.rto_s,
            },
        )
        for drill in platform.drill_records.newest(limit=_RECOVERIES)
        if drill.outcome.says_something and drill.source is not None and drill.finished_at is not None
    ]


def _named_point(name: str, at: datetime, *, by: str | None, why: str) -> Happening:
    return Happening(
        at=at,
        kind=HappeningKind.NAMED_POINT,
        words=f"restore point {name}, {why}",
        by=by,
        before=at,
        detail={"name": name},
    )
