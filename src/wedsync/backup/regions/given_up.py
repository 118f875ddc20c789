"""A second region that archiving goes on without, so that WAL it cannot get does not fill the primary's disk.

Nothing is lost: the first repository has the WAL, and the region gets it from there when it is back.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from wedsync.cluster import write_private
from wedsync.config import Home
from wedsync.errors import HomeProblem
from wedsync.state import as_moment, as_text


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """Since when archiving goes on without the second region, and why."""

    since: datetime
    why: str


def read_given_up(home: Home) -> GivenUp | None:
    """Whether the second region is given up for now. Raises `HomeProblem` if the note of it cannot be read."""
    try:
        noted = json.loads(home.given_up.read_text())
        return GivenUp(since=as_moment(noted["since"]), why=str(noted["why"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HomeProblem(
            f"{home.given_up.name} cannot be read",
            detail=str(error),
            hint="remove it: archiving then waits for the second region again",
        ) from error


def note_given_up(home: Home, given_up: GivenUp | None) -> None:
    """Put down that the second region is given up, or that it is not any more."""
    if given_up is None:
        home.given_up.unlink(missing_ok=True)
        return
    noted = {"since": as_text(given_up.since), "why": given_up.why}
    write_private(home.given_up, json.dumps(noted).encode(), replace=True)
