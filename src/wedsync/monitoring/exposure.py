"""What would be lost if the machine went now, as the keeper measured it. Source: `exposure` of the state file."""

from datetime import datetime, timedelta

from wedsync.monitoring.facts import Exposure
from wedsync.state import StateStore, as_moment, as_text

_DAY = timedelta(days=1)


def read_exposure(state: StateStore, now: datetime) -> Exposure | None:
    """The newest measurement and the worst of the last day; `None`: nothing was ever measured."""
    row = state.row("select * from exposure order by at desc limit 1")
    if row is None:
        return None
    since = state.row(
        "select min(at) as at from exposure"
        " where at > coalesce((select max(at) from exposure where mode <> ?), '')",
        (row["mode"],),
    )
    worst = state.row("select max(at_stake_s) as worst from exposure where at >= ?", (as_text(now - _DAY),))
    measured_at = as_moment(row["at"])
    return Exposure(
        measured_at=measured_at,
        mode=row["mode"],
        since=as_moment(since["at"]) if since is not None and since["at"] else measured_at,
        in_force_s=row["at_stake_s"],
        at_stake_bytes=row["at_stake_bytes"],
        worst_24h_s=max(row["at_stake_s"], (worst["worst"] if worst is not None else None) or 0.0),
        slot_status=row["slot_status"],
        slot_bytes=row["slot_bytes"],
    )
