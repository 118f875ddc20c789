"""Where a copy's server is told to stop."""

from wedsync.backup import RestoreTarget, TargetKind
from wedsync.copies.settings import recovery_settings
from wedsync.database import Lsn


def test_a_place_in_the_wal_may_be_excluded() -> None:
    target = RestoreTarget(kind=TargetKind.LSN, lsn=Lsn.parse("0/3000028"), timeline=2, exclusive=True)
    assert recovery_settings(target) == {
        "recovery_target_lsn": "0/3000028",
        "recovery_target_inclusive": "off",
        "recovery_target_timeline": "2",
        "recovery_target_action": "pause",
    }


def test_what_was_excluded_at_one_stop_is_not_at_the_next() -> None:
    target = RestoreTarget(kind=TargetKind.LSN, lsn=Lsn.parse("0/3000028"))
    assert recovery_settings(target)["recovery_target_inclusive"] == "on"
