"""Which backup and which moment a drill takes."""

from datetime import datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.backup_values import SYSTEM, at, backup
from wedsync.backup import Catalogue, RepositoryStatus, Survey, Window, Windows
from wedsync.drills import DrillOrder, Pick, choose
from wedsync.errors import BackupUnknown, RepositoryUnreachable, TargetUnreachable, WrongKey

OLD = backup(at(0), repo=1)
NEW = backup(at(60), repo=1)
OTHER = backup(at(30), repo=2)
WEEKLY = backup(at(-9000), repo=1)


def survey(*statuses: RepositoryStatus, windows: bool = True) -> Survey:
    found = tuple(
        Window(
            system_id=SYSTEM,
            timeline=1,
            from_at=OLD.consistent_from,
            to_at=at(120),
            to_lsn=None,
            to_segment="000000010000000000000009",
            repos=(repo,),
        )
        for repo in (1, 2)
    )
    return Survey(
        catalogue=Catalogue(backups=(WEEKLY, OLD, OTHER, NEW), repositories=statuses),
        archives=(),
        windows=Windows(windows=found, per_repo=found if windows else (), moments=(), gaps=()),
    )


def seeded(seed: int = 1) -> Random:
    return Random(seed)


def test_without_a_wish_the_newest_backup_is_taken_to_a_moment_behind_it() -> None:
    chosen = choose(DrillOrder(), survey(), seeded())
    assert chosen.backup is NEW
    assert NEW.consistent_from <= chosen.moment <= at(120)


@given(st.integers(0, 10_000))
def test_a_random_moment_is_one_that_a_recovery_would_take_this_backup_for(seed: int) -> None:
    chosen = choose(DrillOrder(backup=OLD.label), survey(), seeded(seed))
    assert OLD.consistent_from <= chosen.moment <= NEW.consistent_from
    assert not chosen.own_end


@given(st.integers(0, 10_000))
def test_a_random_backup_is_one_of_the_repository_asked_for(seed: int) -> None:
    chosen = choose(DrillOrder(repo=1, backup=Pick.RANDOM), survey(), seeded(seed))
    assert chosen.backup in {WEEKLY, OLD, NEW}
    assert chosen.repo == 1


def test_every_backup_gets_its_turn_by_chance() -> None:
    seen = {choose(DrillOrder(backup=Pick.RANDOM), survey(), seeded(seed)).backup for seed in range(200)}
    assert seen == {WEEKLY, OLD, NEW, OTHER}


def test_a_backup_without_wal_behind_it_is_restored_to_its_own_end() -> None:
    chosen = choose(DrillOrder(backup=WEEKLY.label), survey(), seeded())
    assert chosen.own_end
    assert chosen.moment == WEEKLY.finished_at


def test_the_newest_moment_is_the_end_of_what_the_backup_is_nearest_for() -> None:
    assert choose(DrillOrder(moment=Pick.NEWEST), survey(), seeded()).moment == at(120)
    of_old = choose(DrillOrder(backup=OLD.label, moment=Pick.NEWEST), survey(), seeded())
    assert of_old.moment == NEW.consistent_from


def test_a_moment_asked_for_may_lie_behind_later_backups() -> None:
    assert choose(DrillOrder(backup=OLD.label, moment=at(100)), survey(), seeded()).backup is OLD
    assert choose(DrillOrder(moment=at(100)), survey(), seeded()).backup is None  # as a recovery chooses


@pytest.mark.parametrize("moment", [at(-1), at(121)])
def test_a_moment_that_the_backup_does_not_lead_to_is_refused(moment: datetime) -> None:
    with pytest.raises(TargetUnreachable, match="does not lead"):
        choose(DrillOrder(backup=OLD.label, moment=moment), survey(), seeded())


def test_an_unknown_label_and_a_repository_without_backups_are_said() -> None:
    with pytest.raises(BackupUnknown):
        choose(DrillOrder(backup="20200101-000000F"), survey(), seeded())
    away = RepositoryStatus(repo=3, ok=False, message="no route to host")
    with pytest.raises(RepositoryUnreachable):
        choose(DrillOrder(repo=3), survey(away), seeded())
    other_key = RepositoryStatus(repo=3, ok=False, message="another key", wrong_key=True)
    with pytest.raises(WrongKey):
        choose(DrillOrder(repo=3), survey(other_key), seeded())
