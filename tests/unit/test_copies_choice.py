"""Which preview serves a wish: never somebody else's, never one in use, never a dearer way."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from wedsync.backup import Backup
from wedsync.copies import Answer, Choice, CopyPlan, Listed, Purpose, Stage, Standing, choose_preview, is_idle
from wedsync.database import Lsn

_NOON = datetime(2026, 6, 13, 12, tzinfo=UTC)
_SEGMENT = 16 * 1024 * 1024


class _Base:
    database_bytes = 10 * _SEGMENT


class _Plan:
    """What the decision looks at of a plan: segments 20 to 29 from a backup of ten segments' size."""

    base = cast("Backup", _Base())
    timeline = 1
    target_at = _NOON
    wal_first = "000000010000000000000014"
    wal_last = "00000001000000000000001D"
    wal_segments = 10


_PLAN = cast("CopyPlan", _Plan())
_MINE = Standing(
    id="mine",
    made_by="ada",
    target_at=_NOON - timedelta(hours=1),
    timeline=1,
    lsn=Lsn(20 * _SEGMENT),
    clients=0,
    last_used_at=_NOON,
)


def _chosen(*standing: Standing, new: bool = False, most: int = 2) -> Choice:
    return choose_preview(standing, _PLAN, by="ada", most=most, new=new)


def test_ones_own_preview_at_an_earlier_moment_moves_on() -> None:
    assert _chosen(_MINE) == Choice(answer=Answer.MOVED, preview="mine")


def test_of_several_the_one_that_is_nearest_moves() -> None:
    nearer = replace(_MINE, id="nearer", lsn=Lsn(25 * _SEGMENT))
    assert _chosen(_MINE, nearer).preview == "nearer"


@pytest.mark.parametrize(
    "other",
    [
        replace(_MINE, made_by="bob"),
        replace(_MINE, clients=1),
        replace(_MINE, timeline=2),
        replace(_MINE, target_at=_NOON + timedelta(seconds=1)),
        replace(_MINE, lsn=Lsn(0)),  # 29 segments ahead, where a new copy reads 20
    ],
    ids=["somebody else's", "in use", "another timeline", "past it", "dearer than a new copy"],
)
def test_what_must_not_move_stays_and_a_new_one_is_made(other: Standing) -> None:
    assert _chosen(other) == Choice(answer=Answer.MADE)


def test_one_at_the_very_moment_serves_everybody() -> None:
    same = replace(_MINE, made_by="bob", clients=3, target_at=_NOON)
    assert _chosen(same) == Choice(answer=Answer.SAME, preview="mine")
    assert _chosen(same, new=True).answer is Answer.MADE


def test_at_the_limit_ones_own_idle_one_gives_way_and_nobody_elses() -> None:
    older = replace(_MINE, id="older", last_used_at=_NOON - timedelta(minutes=5))
    assert _chosen(_MINE, older, new=True) == Choice(answer=Answer.MADE, makes_room="older")
    others = replace(older, made_by="bob")
    assert _chosen(_MINE, others, new=True).makes_room == "mine"
    assert _chosen(replace(_MINE, clients=1), others, new=True).makes_room is None


@pytest.mark.parametrize(("stage", "idle"), [(Stage.READY, True), (Stage.PROMOTED, True), (Stage.MAKING, False)])
def test_a_preview_is_idle_after_its_time_but_never_while_it_is_made(stage: Stage, *, idle: bool) -> None:
    listed = cast("Listed", type("L", (), {"stage": stage, "last_used_at": _NOON, "purpose": Purpose.PREVIEW})())
    keep_for = timedelta(minutes=30)
    assert is_idle(listed, now=_NOON + keep_for, keep_for=keep_for) is idle
    assert not is_idle(listed, now=_NOON + keep_for - timedelta(seconds=1), keep_for=keep_for)
