"""What all checks have in common: a name, a time they may take, and an answer that is never good for nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from time import monotonic

from psycopg import DatabaseError

from wedsync.drills.check import Check, CheckResult, DrillContext
from wedsync.errors import WedsyncError

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found. `looked_at` counts what it examined: nothing examined is never ok."""

    looked_at: int
    detail: str
    """What was examined, as `62 tables, 1204 rows`."""
    wrong: tuple[str, ...] = ()
    """A sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """There was nothing to look at, and why that is no failure."""

    reason: str


Answer = Finding | Skipped


def check(name: str, *, within: timedelta) -> Callable[[Callable[[DrillContext], Awaitable[Answer]]], Check]:
    """Make a check of a function: timed, ended past `within`, its errors of the database and of ours an answer."""

    def decorate(function: Callable[[DrillContext], Awaitable[Answer]]) -> Check:
        @wraps(function)
        async def run(context: DrillContext) -> CheckResult:
            began = monotonic()
            try:
                async with asyncio.timeout(within.total_seconds()):
                    answer = await function(context)
            except TimeoutError:
                answer = _failure(f"it was not done within {within.total_seconds():g} s")
            except DatabaseError as error:
                answer = _failure(" ".join(str(error).split()))
            except WedsyncError as error:
                answer = _failure(error.in_one_line())
            return result(name, answer, took_s=monotonic() - began)

        run.__name__ = name.replace(" ", "_")
        return run

    return decorate


def result(name: str, answer: Answer, *, took_s: float) -> CheckResult:
    """The answer as a drill reports it."""
    match answer:
        case Skipped(reason=reason):
            return CheckResult(name=name, ok=False, detail=reason, took_s=took_s, skipped=True)
        case Finding(wrong=(), looked_at=0):
            return CheckResult(name=name, ok=False, detail=f"nothing was examined: {answer.detail}", took_s=took_s)
        case Finding(wrong=()):
            return CheckResult(name=name, ok=True, detail=answer.detail, took_s=took_s)
        case Finding(wrong=wrong):
            named = "; ".join(wrong[:_NAMED])
            more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            return CheckResult(name=name, ok=False, detail=f"{named}{more} ({answer.detail})", took_s=took_s)


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 table`, `62 tables`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def _failure(said: str) -> Finding:
    return Finding(looked_at=0, detail="the check did not end", wrong=(said,))
