"""What a recovery writes down, and the words it says."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wedsync.recovery import Journal, JournalEntry, Stage, WayBack
from wedsync.recovery.journal import began, recovery_id
from wedsync.recovery.replay import replay_words
from wedsync.state import StateStore, open_state

BEGAN = datetime(2026, 6, 14, 10, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateStore]:
    store = open_state(tmp_path / "state.db")
    yield store
    store.close()


@pytest.fixture
def journal(state: StateStore) -> Journal:
    return Journal(state)


def entry(name: str = "one", *, at: datetime = BEGAN, target: str = "latest") -> JournalEntry:
    return JournalEntry(
        id=name,
        target=target,
        target_at=at,
        stage=Stage.PLANNED,
        started_at=at,
        finished_at=None,
        outcome="running",
        plan={"forecast_s": 1.5, "undoes": None},
        way_back=None,
    )


WAY_BACK = WayBack(system_id="7", timeline=3, name="point", at=BEGAN, kept_segments=("0" * 24,))


def test_every_stage_is_read_back_as_it_was_written(journal: Journal) -> None:
    made = entry()
    journal.begin(made)
    assert journal.unfinished() == made
    made = replace(made, way_back=WAY_BACK)
    for stage in Stage:
        made = journal.reach(made, stage)
        assert journal.unfinished() == made
        assert made.stage is stage


@pytest.mark.parametrize(
    ("stage", "whole"),
    [
        (Stage.PLANNED, True),
        (Stage.STOPPED, True),
        (Stage.RESTORING, False),
        (Stage.REPLAYING, False),
        (Stage.PROMOTED, True),
        (Stage.FINISHED, True),
    ],
)
def test_only_whole_files_may_be_started(stage: Stage, whole: bool) -> None:
    assert stage.files_are_whole is whole


def test_an_ended_recovery_is_not_unfinished_and_can_be_undone(journal: Journal) -> None:
    made = replace(entry(), way_back=WAY_BACK)
    journal.begin(made)
    journal.end(replace(made, stage=Stage.FINISHED), "done", at=BEGAN + timedelta(minutes=1))
    assert journal.unfinished() is None
    last = journal.last_done()
    assert last is not None
    assert last.way_back == WAY_BACK
    assert last.finished_at == BEGAN + timedelta(minutes=1)
    journal.mark_undone("one")
    assert journal.last_done() is None


def test_an_abandoned_recovery_cannot_be_undone(journal: Journal) -> None:
    made = replace(entry(), way_back=WAY_BACK)
    journal.begin(made)
    journal.end(made, "abandoned", at=BEGAN)
    assert journal.last_done() is None
    assert journal.find("one") is not None
    assert journal.find("two") is None


def test_the_newest_done_is_the_one_to_undo(journal: Journal) -> None:
    for minutes, name in enumerate(("one", "two")):
        made = replace(entry(name, at=BEGAN + timedelta(minutes=minutes)), way_back=WAY_BACK)
        journal.begin(made)
        journal.end(made, "done", at=made.started_at)
    last = journal.last_done()
    assert last is not None
    assert last.id == "two"


@pytest.mark.parametrize(
    ("done_s", "took_s", "words"),
    [
        (0, 0.0, ""),
        (60, 0.5, ""),
        (60, 10.0, ", about 20 s left"),
        (120, 10.0, ", about 5 s left"),
        (180, 10.0, ""),
    ],
)
def test_replay_says_how_long_it_takes_when_it_can(done_s: int, took_s: float, words: str) -> None:
    target = BEGAN + timedelta(minutes=3)
    said = replay_words(BEGAN, BEGAN + timedelta(seconds=done_s), target, took_s)
    assert said.startswith("replaying ")
    assert said.endswith(words) if words else "left" not in said


def test_the_id_of_a_recovery_tells_when_it_began_without_the_journal() -> None:
    now = datetime(2026, 6, 14, 10, 5, 30, 123456, tzinfo=UTC)
    assert recovery_id(now) == "20260614T100530_123"
    assert began(recovery_id(now)) == now.replace(microsecond=0)
    assert began("lost+found") is None
