"""Where a restore stops, in pgBackRest's words."""

from datetime import UTC, datetime

import pytest

from wedsync.backup import RestoreTarget, TargetAction, TargetKind
from wedsync.database import Lsn


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (RestoreTarget(), ["--type=default"]),
        (RestoreTarget(timeline=3), ["--type=default", "--target-timeline=3"]),
        (  # pgBackRest refuses a timeline beside it, and writes "current" itself
            RestoreTarget(kind=TargetKind.IMMEDIATE, timeline=3, action=TargetAction.PAUSE),
            ["--type=immediate", "--target-action=pause"],
        ),
        (
            RestoreTarget(kind=TargetKind.TIME, at=datetime(2026, 6, 14, 11, 5, 30, 250_000, tzinfo=UTC)),
            ["--type=time", "--target=2026-06-14 11:05:30.250000+00", "--target-action=promote"],
        ),
        (
            RestoreTarget(
                kind=TargetKind.LSN,
                lsn=Lsn.parse("0/3000028"),
                action=TargetAction.PAUSE,
                exclusive=True,
                timeline=2,
            ),
            [
                "--type=lsn",
                "--target=0/3000028",
                "--target-action=pause",
                "--target-exclusive",
                "--target-timeline=2",
            ],
        ),
    ],
)
def test_a_target_in_the_words_of_the_engine(target: RestoreTarget, words: list[str]) -> None:
    assert target.options() == words


def test_a_target_without_its_value_is_no_target() -> None:
    with pytest.raises(ValueError, match="lsn needs its value"):
        RestoreTarget(kind=TargetKind.LSN).options()
