"""What the state file says of reading the backups. Source: `checked_files` and the tables beside it."""

import sqlite3
from datetime import datetime, timedelta

from wedsync.monitoring.facts import FoundDamage, RepositoryReading, VerificationFacts
from wedsync.state import StateStore, as_moment, as_text

_RECENT = timedelta(days=1)


def read_verification(state: StateStore, *, within: timedelta, now: datetime) -> VerificationFacts:
    """How far reading has come, what is wrong, and what was repaired in the last day."""
    rounds = state.rows(
        "select r.repo, r.listed_at, r.read_at, r.error, r.error_since,"
        " min(coalesce(f.read_at, f.listed_at)) as oldest"
        " from verification_rounds r left join checked_files f on f.repo = r.repo group by r.repo order by r.repo"
    )
    return VerificationFacts(
        within=within,
        repositories=tuple(_reading(row, within=within, now=now) for row in rounds),
        open=tuple(
            _damage(row)
            for row in state.rows("select * from verification_findings where ended_at is null order by id")
        ),
        ended=tuple(
            _damage(row)
            for row in state.rows(
                "select * from verification_findings where ended_at >= ? order by id", (as_text(now - _RECENT),)
            )
        ),
    )


def _reading(row: sqlite3.Row, *, within: timedelta, now: datetime) -> RepositoryReading:
    due_at = as_moment(row["oldest"]) + within if row["oldest"] else None
    return RepositoryReading(
        repo=row["repo"],
        listed_at=as_moment(row["listed_at"]) if row["listed_at"] else None,
        read_at=as_moment(row["read_at"]) if row["read_at"] else None,
        overdue_since=due_at if due_at is not None and due_at < now else None,
        error=row["error"],
        error_since=as_moment(row["error_since"]) if row["error_since"] else None,
    )


def _damage(row: sqlite3.Row) -> FoundDamage:
    return FoundDamage(
        repo=row["repo"],
        kind=row["kind"],
        label=row["label"],
        file=row["file"],
        problem=row["problem"],
        critical=bool(row["critical"]),
        found_at=as_moment(row["found_at"]),
        repair=row["repair"],
        repaired_at=as_moment(row["ended_at"]) if row["ended_by"] == "repaired" else None,
    )
