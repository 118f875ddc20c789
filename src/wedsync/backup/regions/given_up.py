"""A second region that archiving goes on without, so that WAL it cannot get does not fill the primary's disk.

Nothing is lost while the first repository is there, and the region gets it from that when it is back. Until then
it is on this machine alone: the server says so as a setting, to whoever measures what would be lost, and to a
receiver on another host, which keeps what the region lacks.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from wedsync.backup.regions.lag import PrimaryWal
from wedsync.backup.wal import number_of, segment_name, timeline_of
from wedsync.cluster import write_private
from wedsync.config import Home
from wedsync.errors import HomeProblem
from wedsync.state import as_moment, as_text

_SETTING = "wedsync.region_lacks_from"
"""What the server shows; statements of `zero_loss.sql` ask for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """Since when archiving goes on without the second region, and why."""

    since: datetime
    why: str
    lacks_from: str | None = None
    """The first segment that may be on this machine alone; `None`: the first repository is elsewhere, too."""
    returning: bool = False
    """Archiving goes to the region again, and it does not yet have all that came before."""


def read_given_up(home: Home) -> GivenUp | None:
    """Whether the second region is given up for now. Raises `HomeProblem` if the note of it cannot be read."""
    try:
        noted = json.loads(home.given_up.read_text())
        return GivenUp(
            since=as_moment(noted["since"]),
            why=str(noted["why"]),
            lacks_from=noted.get("lacks_from"),
            returning=bool(noted.get("returning")),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HomeProblem(
            f"{home.given_up.name} cannot be read",
            detail=str(error),
            hint="remove it: archiving then waits for the second region again",
        ) from error


def note_given_up(home: Home, given_up: GivenUp | None) -> None:
    """Put down that the second region is given up, or that it is not any more; the server is to be told."""
    if given_up is None or given_up.lacks_from is None:
        home.given_up_settings.unlink(missing_ok=True)
    else:
        setting = f"{_SETTING} = '{given_up.lacks_from}'\n"
        write_private(home.given_up_settings, setting.encode(), replace=True)
    if given_up is None:
        home.given_up.unlink(missing_ok=True)
        return
    noted = {
        "since": as_text(given_up.since),
        "why": given_up.why,
        "lacks_from": given_up.lacks_from,
        "returning": given_up.returning,
    }
    write_private(home.given_up, json.dumps(noted).encode(), replace=True)


def lacks_from(primary: PrimaryWal, before: str | None = None) -> str:
    """The first segment of the primary's timeline that a region given up now may lack.

    `before` is what was found when it was given up; after a recovery, it lacks the new timeline too.
    """
    timeline = timeline_of(primary.current_segment)
    if before is None:
        waiting = [] if primary.unarchived is None else [primary.unarchived]
        first = min([primary.current_segment, *waiting], key=number_of)
        return segment_name(timeline, number_of(first))
    if timeline_of(before) == timeline:
        return before
    here = min([primary.current_segment, *primary.finished], key=number_of)
    return segment_name(timeline, min(number_of(before), number_of(here)))
