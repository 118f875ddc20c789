"""Whether archiving should go on without the second region, which is then filled up from the first.

pgBackRest pushes each segment to all repositories before it says that it is archived. One that does not answer
costs 41 s a segment (four tries of 5 s, twice), also for the first repository, which falls behind where more is
written; and PostgreSQL keeps it all.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from wedsync.backup.regions.lag import QueueSample
from wedsync.backup.regions.records import Sighting
from wedsync.words import size_words

FULL_WITHIN = timedelta(minutes=10)
"""A disk that is full so soon leaves nobody the time to do something."""
_WELL_SINCE = timedelta(minutes=1)
_AHEAD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is put up with."""

    after: timedelta | None
    """A region may be out of reach for so long; `None`: for ever."""
    least_free_bytes: int
    """The room that must be left for WAL; 0: none."""


class Verdict(StrEnum):
    """What to do about the second region."""

    LEAVE = "leave"
    GIVE_UP = "give up"
    TAKE_BACK = "take back"


def judge(
    first: Sighting | None,
    second: Sighting | None,
    *,
    queue: QueueSample,
    full_at: datetime | None,
    limits: Limits,
    given_up: bool,
    now: datetime,
) -> Verdict:
    """What to do now. Only what helps is done: the first repository must be there, to have what it lacks."""
    if second is None or first is None or not first.reachable:
        return Verdict.LEAVE
    if given_up:
        roomy = queue.free_bytes > 2 * limits.least_free_bytes
        is_back = second.reachable and now - second.since >= _WELL_SINCE
        return Verdict.TAKE_BACK if roomy and is_back else Verdict.LEAVE
    away = not second.reachable and second.behind.segments > 0
    if limits.after is not None and away and now - second.since >= limits.after:
        return Verdict.GIVE_UP
    waits_for_second = away or second.behind.segments >= first.behind.segments + _AHEAD
    is_short = queue.free_bytes < limits.least_free_bytes
    is_short |= limits.least_free_bytes > 0 and full_at is not None and full_at - now < FULL_WITHIN
    return Verdict.GIVE_UP if waits_for_second and is_short else Verdict.LEAVE


def why(second: Sighting, queue: QueueSample) -> str:
    """The reason for giving it up, in words."""
    state = "cannot be reached" if not second.reachable else "does not keep up"
    return (
        f"repo{second.repo} {state}, {second.behind.segments} WAL segments wait for it"
        f" and {size_words(queue.free_bytes)} are free"
    )
