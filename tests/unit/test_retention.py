"""Retention never takes what a promise stands on."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.backup_values import START, backup, labels, timeline, timelines
from wedsync.backup import (
    Backup,
    BackupKind,
    Retention,
    RetentionPolicy,
    Timeline,
    leads_to,
    lineage,
    live_at,
    retention,
)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
POLICY = RetentionPolicy(recovery_window=30 * DAY, keep_incr=2 * DAY, keep_weekly=timedelta(weeks=52))


def only(backups: list[Backup], now: object, policy: RetentionPolicy = POLICY) -> Retention:
    (plan,) = retention(backups, policy, now=now)  # type: ignore[arg-type]
    return plan


def test_an_empty_catalogue_has_nothing_to_remove() -> None:
    assert retention([], POLICY, now=START) == ()


def test_thirty_daily_fulls_and_the_base_before_them_stay() -> None:
    fulls = [backup(START + day * DAY, wal=(day + 1, day + 1)) for day in range(40)]
    now = START + 39 * DAY + 2 * HOUR
    plan = only(fulls, now)
    assert plan.base == fulls[9].label
    assert plan.keep_fulls == 31
    kept = {item.label for item in fulls} - set(labels(plan.removals))
    assert {item.label for item in fulls[9:]} <= kept


def test_the_first_full_of_each_week_stays_a_year_and_then_goes() -> None:
    fulls = [backup(START + day * DAY) for day in range(400)]
    now = START + 399 * DAY + 2 * HOUR
    plan = only(fulls, now)
    kept = [item for item in fulls if item.label not in set(labels(plan.removals))]
    weeks = {item.finished_at.isocalendar()[:2] for item in kept if now - item.finished_at > 31 * DAY}
    expected = {
        item.finished_at.isocalendar()[:2]
        for item in fulls
        if 31 * DAY < now - item.finished_at < 52 * 7 * DAY and item.finished_at.isoweekday() == 1
    }
    assert weeks == expected
    assert len(kept) - 31 <= 52


def test_hourly_ones_go_after_two_days_and_their_full_stays() -> None:
    full = backup(START)
    chain = [full]
    for hour in range(1, 72):
        chain.append(backup(START + hour * HOUR, BackupKind.INCR, on=chain[0]))
    plan = only(chain, START + 72 * HOUR)
    assert set(labels(plan.removals)) == {item.label for item in chain[1:24]}
    assert full.label not in labels(plan.removals)


def test_a_young_incremental_keeps_the_old_one_it_is_built_on() -> None:
    full = backup(START)
    old = backup(START + HOUR, BackupKind.INCR, on=full)
    young = backup(START + 70 * HOUR, BackupKind.INCR, on=old)
    assert only([full, old, young], START + 72 * HOUR).removals == ()


def test_a_held_backup_stays_with_all_it_is_built_on() -> None:
    tuesday = START + DAY
    full = backup(tuesday)
    held = backup(tuesday + HOUR, BackupKind.INCR, on=full, held="audit")
    later = [backup(START + day * DAY) for day in (0, 50, 90)]
    plan = only([full, held, *later], START + 91 * DAY)
    assert full.label not in labels(plan.removals)
    assert held.label not in labels(plan.removals)


def test_damaged_backups_do_not_push_out_the_last_clean_one() -> None:
    clean = backup(START)
    damaged = [backup(START + day * DAY, damaged=True) for day in range(1, 500)]
    plan = only([clean, *damaged], START + 500 * DAY)
    assert plan.base == clean.label
    assert plan.removals == ()
    assert plan.keep_fulls == 500


def test_without_a_clean_full_backup_nothing_goes_and_all_wal_stays() -> None:
    plan = only([backup(START, damaged=True), backup(START + 60 * DAY, damaged=True)], START + 99 * DAY)
    assert plan.removals == ()
    assert plan.keep_fulls is None


def test_repositories_are_judged_by_themselves() -> None:
    here = [backup(START + day * DAY, repo=1) for day in range(1, 40)]
    there = [backup(START + DAY, repo=2)]
    first, second = retention([*here, *there], POLICY, now=START + 40 * DAY)
    assert first.removals
    assert second.removals == ()
    assert second.keep_fulls == 1


def test_dependents_are_removed_before_what_they_are_built_on() -> None:
    tuesday = START + DAY
    full = backup(tuesday)
    incr = backup(tuesday + HOUR, BackupKind.INCR, on=full)
    fulls = [backup(START), *(backup(START + day * DAY) for day in range(2, 40))]
    order = labels(only([full, incr, *fulls], START + 40 * DAY).removals)
    assert order.index(incr.label) < order.index(full.label)


def test_the_base_lies_on_the_line_that_was_live_when_the_window_begins() -> None:
    before = backup(START, wal=(1, 1))
    abandoned = backup(START + DAY, wal=(50, 50))
    after = backup(START + 3 * DAY, wal=(30, 30), timeline=2)
    known = timelines(timeline(1), timeline(2, parent=1, fork=20, live_from=START + 2 * DAY))
    now = START + 2.5 * DAY + POLICY.recovery_window
    (plan,) = retention([before, abandoned, after], POLICY, now=now, timelines=known)
    assert plan.base == before.label


def test_a_recovery_keeps_the_full_backup_from_before_its_fork() -> None:
    before = backup(START, wal=(1, 1))
    abandoned = backup(START + DAY, wal=(50, 50))
    after = backup(START + 3 * DAY, wal=(30, 30), timeline=2)
    known = timelines(timeline(1), timeline(2, parent=1, fork=20, live_from=START + 2 * DAY))
    now = START + 1.5 * DAY + POLICY.recovery_window
    (plan,) = retention([before, abandoned, after], POLICY, now=now, timelines=known)
    assert plan.base == before.label
    assert plan.keep_fulls == 3
    (plan,) = retention([before, abandoned, after], POLICY, now=now + 2 * DAY, timelines=known)
    assert plan.base == after.label


@pytest.mark.parametrize("jump", [60 * DAY, 3000 * DAY])
def test_a_clock_that_jumps_ahead_takes_nothing_that_new_backups_do_not_replace(jump: timedelta) -> None:
    policy = replace(POLICY, full_every=DAY)
    fulls = [backup(START + day * DAY) for day in range(40)]
    incr = backup(START + 39 * DAY + HOUR, BackupKind.INCR, on=fulls[-1])
    jumped = START + 39 * DAY + jump
    before = only([*fulls, incr], START + 39 * DAY + 2 * HOUR, policy)
    # neither at once, nor behind the first backup that has the new time
    for there, now in [
        ([*fulls, incr], jumped),
        ([*fulls, incr, backup(jumped)], jumped + HOUR),
    ]:
        plan = only(there, now, policy)
        assert set(labels(plan.removals)) <= {*labels(before.removals), fulls[9].label, fulls[10].label}
        assert incr.label not in labels(plan.removals)
        assert jump - 2 * DAY < plan.uncounted <= jump
    # but as new ones come, the old ones go
    later = [backup(jumped + day * DAY) for day in range(33)]
    plan = only([*fulls, *later], jumped + 32 * DAY + HOUR, policy)
    assert plan.base == later[2].label
    assert plan.uncounted == timedelta(0)


def test_a_few_failed_backups_are_no_pause() -> None:
    fulls = [backup(START + day * DAY) for day in (0, 1, 2, 8, 9)]
    assert only(fulls, START + 12 * DAY, replace(POLICY, full_every=DAY)).uncounted == timedelta(0)


@dataclass(frozen=True, kw_only=True)
class History:
    """What was backed up, and which timelines recoveries began."""

    backups: list[Backup]
    timelines: dict[int, Timeline]

    def reaches(self, moment: datetime, backups: list[Backup]) -> bool:
        """Whether one of these leads to what was live at the moment."""
        live = live_at(moment, self.timelines)
        assert live is not None
        legs = lineage(live, self.timelines)
        return any(item.consistent_from <= moment and leads_to(item, legs) for item in backups)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A history of fulls and incrementals, some damaged, some held, with recoveries in between."""
    found: list[Backup] = []
    known = {1: timeline(1)}
    begins, ends = {1: 1}, {1: 1}
    live = 1
    moment = START
    full: Backup | None = None
    last: Backup | None = None
    for _ in range(draw(st.integers(1, 40))):
        moment += timedelta(hours=draw(st.integers(1, 24 * 12)))
        if draw(st.integers(0, 5)) == 0:
            parent = draw(st.sampled_from(sorted(known)))
            fork = draw(st.integers(begins[parent], ends[parent]))
            live = max(known) + 1
            known[live] = timeline(live, parent=parent, fork=fork, live_from=moment)
            begins[live] = ends[live] = fork
            moment += HOUR
        ends[live] += 1
        kind = BackupKind.FULL if full is None else draw(st.sampled_from(list(BackupKind)))
        on = None if kind is BackupKind.FULL else full if kind is BackupKind.DIFF else last
        item = backup(
            moment,
            kind,
            on=on,
            wal=(ends[live], ends[live]),
            timeline=live,
            damaged=draw(st.integers(0, 4)) == 0,
            held="kept" if draw(st.integers(0, 9)) == 0 else None,
        )
        found.append(item)
        full = item if kind is BackupKind.FULL else full
        last = item
    return History(backups=found, timelines=known)


policies = st.builds(
    RetentionPolicy,
    recovery_window=st.integers(1, 40).map(lambda days: days * DAY),
    keep_incr=st.integers(0, 72).map(lambda hours: hours * HOUR),
    keep_weekly=st.sampled_from([timedelta(0), timedelta(weeks=10), timedelta(weeks=52)]),
    full_every=st.sampled_from([None, DAY, 3 * DAY]),
)


def is_good(item: Backup, labels_there: set[str]) -> bool:
    return not item.damaged and labels_there >= set(item.references)


@settings(max_examples=300, deadline=None)
@given(histories(), policies, st.integers(0, 24 * 60), st.lists(st.floats(0, 1), max_size=20))
def test_whatever_the_history_the_promises_hold(
    past: History, policy: RetentionPolicy, later_h: int, shares: list[float]
) -> None:
    history = past.backups
    known = timelines(*past.timelines.values())
    now = history[-1].finished_at + timedelta(hours=later_h)
    (plan,) = retention(history, policy, now=now, timelines=known)
    gone = set(labels(plan.removals))
    there = {item.label for item in history}
    left = [item for item in history if item.label not in gone]
    left_labels = {item.label for item in left}

    # no chain is broken
    for item in left:
        assert set(item.references) & there <= left_labels
    # no held one goes
    assert all(item.label in left_labels for item in history if item.held)
    good = [item for item in history if is_good(item, there)]
    good_fulls = [item for item in good if item.kind is BackupKind.FULL]
    if not good_fulls:
        assert not gone
        assert plan.keep_fulls is None
        return
    # the newest good ones stay
    assert good[-1].label in left_labels
    assert good_fulls[-1].label in left_labels
    # the base is good, stays, and is older than the window where anything is
    base = next(item for item in left if item.label == plan.base)
    assert base in good_fulls
    promised_from = now - policy.recovery_window
    if good_fulls[0].consistent_from <= promised_from:
        assert base.consistent_from <= promised_from
    else:
        assert base == good_fulls[0]
    # every promised moment that could be reached still can, through WAL that stays
    from_base = [item for item in left if item in good_fulls and item.label >= base.label]
    moments = [promised_from + share * policy.recovery_window for share in shares]
    moments += [item.live_from for item in past.timelines.values() if promised_from <= item.live_from <= now]
    for moment in [promised_from, now, *moments]:
        assert past.reaches(moment, from_base) or not past.reaches(moment, good_fulls)
    # WAL stays from the base on: that many fulls, counted from the newest of those that stay
    fulls_left = [item for item in left if item.kind is BackupKind.FULL]
    assert plan.keep_fulls is not None
    assert fulls_left[-plan.keep_fulls] == base
    # every full backup inside the window stays
    assert all(
        item.label in left_labels for item in history if item.kind is BackupKind.FULL and item.label > base.label
    )
    # one a week stays
    for week in {item.finished_at.isocalendar()[:2] for item in good_fulls}:
        of_week = [item for item in good_fulls if item.finished_at.isocalendar()[:2] == week]
        if now - of_week[0].finished_at < policy.keep_weekly:
            assert of_week[0].label in left_labels
    # young incrementals stay
    assert all(item.label in left_labels for item in history if now - item.finished_at < policy.keep_incr)
    # deciding again on what is left changes nothing
    (again,) = retention(left, policy, now=now, timelines=known)
    assert again.removals == ()
    assert again.base == plan.base
    assert again.keep_fulls == plan.keep_fulls
    # and no removal comes before something that is built on it
    order = labels(plan.removals)
    for item in history:
        if item.label in gone:
            assert all(order.index(item.label) < order.index(need) for need in item.references if need in gone)


def test_a_broken_backup_stays_as_long_as_it_would_have_and_never_counts_as_the_base() -> None:
    fulls = [backup(START + day * DAY, wal=(day + 1, day + 1)) for day in range(40)]
    now = START + 39 * DAY + 2 * HOUR
    broken = [replace(item, broken="bundle/1") if item in (fulls[9], fulls[15]) else item for item in fulls]
    plan = only(broken, now)
    assert plan.base == fulls[8].label
    assert fulls[15].label not in labels(plan.removals)
    alone = [replace(fulls[0], broken="bundle/1"), fulls[1]]
    plan = only(alone, START + DAY + 2 * HOUR)
    assert (plan.base, plan.keep_fulls, plan.removals) == (fulls[1].label, 2, ())
