"""What can be wrong with the protection of commits against the loss of this machine."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from wedsync.monitoring.backup_rules import archive_issues
from wedsync.monitoring.facts import Exposure, Facts, Records
from wedsync.monitoring.issues import Issue, State
from wedsync.monitoring.region_rules import region_issues
from wedsync.words import duration_words, size_words

MEASURED_WITHIN = timedelta(minutes=1)
ASYNC_TARGET = timedelta(seconds=1)
ASYNC_CRITICAL = timedelta(seconds=10)
ARCHIVE_AT_LEAST = timedelta(minutes=5)
_SAID = frozenset({"archiving_fails", "archiving_late", "archiving_off", "region_given_up"})
"""Why more would be lost: then that is the issue, and the amount stands in a line of its own."""
SLOT_WARNING_BYTES = 1_000_000_000
SLOT_CRITICAL_BYTES = 4_000_000_000


def exposure_issues(facts: Facts, now: datetime) -> Iterator[Issue]:
    """More would be lost with the machine than was promised, or nobody knows how much."""
    exposure = facts.records.exposure if facts.records else None
    database = facts.database
    if database is None or not database.connects or database.in_recovery:
        return  # nothing is committed, and what is wrong is said elsewhere
    if exposure is None:
        return
    yield from _protection_issues(exposure)
    said = {issue.code for issue in (*archive_issues(facts, now), *region_issues(facts, now))}
    if exposure.mode != "archive" or not said & _SAID:
        yield from _amount_issues(exposure, facts)
    yield from _slot_issues(exposure)
    if now - exposure.measured_at > MEASURED_WITHIN and (facts.processes or {}).get("keeper"):
        yield Issue(
            severity=State.WARNING,
            code="exposure_unknown",
            words="how much would be lost with the machine is not measured any more",
            since=exposure.measured_at,
            next_step="read the log of keeper in the home's directory log",
        )


def _protection_issues(exposure: Exposure) -> Iterator[Issue]:
    match exposure.mode:
        case "waiting":
            yield Issue(
                severity=State.CRITICAL,
                code="commits_wait",
                words="commits wait: the receiver of WAL is away, and none is acknowledged without it",
                since=exposure.since,
                next_step="bring the receiver back (log of receiver in the home's directory log);"
                ' or let go: backup.zero_loss.when_down = "degrade", then wedsync down and bin/up',
            )
        case "degraded":
            yield Issue(
                severity=State.CRITICAL,
                code="zero_loss_degraded",
                words="the receiver of WAL is away: only the archive keeps commits if the machine is lost",
                since=exposure.since,
                next_step="bring the receiver back: its log is receiver in the home's directory log",
            )
        case _:
            return


def _amount_issues(exposure: Exposure, facts: Facts) -> Iterator[Issue]:
    archiver = facts.database.archiver if facts.database else None
    match exposure.mode:
        case "async":
            target, critical = ASYNC_TARGET, ASYNC_CRITICAL
        case "archive":
            target = max(ARCHIVE_AT_LEAST, 3 * archiver.timeout) if archiver else ARCHIVE_AT_LEAST
            critical = timedelta(hours=1)
        case _:
            return
    if exposure.in_force_s > target.total_seconds():
        yield Issue(
            severity=State.CRITICAL if exposure.in_force_s > critical.total_seconds() else State.WARNING,
            code="exposure_high",
            words=f"if the machine went now, the commits of the last {duration_words(exposure.in_force_s)} would"
            f" be lost; the target is {duration_words(target.total_seconds())}",
            next_step="see what keeps WAL from the other place: wedsync doctor",
        )


def _slot_issues(exposure: Exposure) -> Iterator[Issue]:
    held = exposure.slot_bytes or 0
    if exposure.slot_status == "lost":
        yield Issue(
            severity=State.CRITICAL,
            code="slot_lost",
            words="the receiver's slot is lost: it was away for more WAL than the server keeps",
            next_step="start the receiver: it makes a new slot, and what lies between is in the archive",
        )
    elif exposure.slot_status == "unreserved" or held > SLOT_WARNING_BYTES:
        critical = exposure.slot_status == "unreserved" or held > SLOT_CRITICAL_BYTES
        yield Issue(
            severity=State.CRITICAL if critical else State.WARNING,
            code="slot_behind",
            words=f"the server keeps {size_words(held)} of WAL for a receiver that does not fetch it",
            next_step="start the receiver; the slot is given up at max_slot_wal_keep_size, so that the disk does"
            " not fill",
        )


def exposure_words(records: Records | None) -> str:
    """`if the machine went now: …`, in a line."""
    exposure = records.exposure if records else None
    if records is None or exposure is None:
        return "not measured yet"
    match exposure.mode:
        case "sync":
            kept = "nothing that was acknowledged would be lost (a receiver has each commit)"
        case "waiting":
            kept = "nothing that was acknowledged would be lost (commits wait for the receiver)"
        case _ if exposure.in_force_s == 0:
            kept = "nothing would be lost"
        case _:
            kept = f"the commits of the last {duration_words(exposure.in_force_s)} would be lost"
            given_up = [region.repo for region in records.regions if region.given_up_at is not None]
            if given_up:
                kept = f"{kept}, for archiving goes on without repository {given_up[0]}"
    worst = f"; at worst {duration_words(exposure.worst_24h_s)} in the last day" if exposure.worst_24h_s else ""
    return f"if the machine went now, {kept}{worst}"
