"""When a heartbeat is due: often while others write, seldom when nobody does."""

from datetime import timedelta

from support.backup_values import START
from wedsync.backup import is_beat_due
from wedsync.backup.heartbeat import IDLE_EVERY, Beat

ACTIVE = timedelta(seconds=10)
LAST = Beat(at=START, next_transaction=100)


def due(after: timedelta, next_transaction: int, last: Beat | None = LAST) -> bool:
    return is_beat_due(last, next_transaction=next_transaction, now=START + after, active_every=ACTIVE)


def test_the_first_beat_is_due_at_once() -> None:
    assert due(timedelta(0), 5, last=None)


def test_while_others_write_a_beat_follows_every_ten_seconds() -> None:
    assert not due(timedelta(seconds=9), 101)
    assert due(timedelta(seconds=10), 101)


def test_an_idle_database_is_left_alone_for_a_quarter_of_an_hour() -> None:
    assert not due(timedelta(minutes=14), 100)
    assert due(IDLE_EVERY, 100)


def test_the_first_write_after_a_pause_is_followed_at_once() -> None:
    assert due(timedelta(minutes=5), 101)


def test_a_clock_set_back_does_not_stop_the_heart() -> None:
    assert due(timedelta(hours=-1), 100)
