"""What leads to the present state."""

from support.backup_values import SYSTEM, archive, at, backup, timeline, timelines
from wedsync.backup import Catalogue, RepositoryStatus, Survey, Windows
from wedsync.recovery.ground import Ground
from wedsync.recovery.planner import leads_to_present


def ground(*, segments: tuple[int, int, int]) -> Ground:
    """A running server, just behind the end of a backup that began in segment 5."""
    catalogue = Catalogue(
        backups=(backup(at(0), wal=(1, 1)), backup(at(10), wal=(5, 5))),
        repositories=(RepositoryStatus(repo=1, ok=True),),
    )
    return Ground(
        survey=Survey(
            catalogue=catalogue,
            archives=(archive((1, 1, 2), segments),),
            windows=Windows(windows=(), per_repo=(), moments=(), gaps=()),
        ),
        system_id=SYSTEM,
        timelines=dict(timelines(timeline(1)))[SYSTEM],
        live=1,
        running=True,
        local=(),
        has_files=True,
        history=(),
        now=at(11),
    )


def test_a_backup_that_ended_within_this_second_leads_to_the_present() -> None:
    assert leads_to_present(ground(segments=(1, 5, 6)))


def test_a_backup_whose_wal_is_missing_does_not() -> None:
    assert not leads_to_present(ground(segments=(1, 6, 6)))
