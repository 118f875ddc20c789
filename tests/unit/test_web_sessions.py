"""A sign-in link works once and for fifteen minutes; a session for twelve hours."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from support.status_values import NOW
from wedsync.state import StateStore, open_state
from wedsync.web.sessions import Sessions, create_sign_in_link


class Now:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, pause: timedelta) -> None:
        self.moment += pause


@pytest.fixture
def clock() -> Now:
    return Now()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateStore]:
    made = open_state(tmp_path / "state.db")
    yield made
    made.close()


def test_a_link_is_used_up_by_the_first_who_takes_it(state: StateStore, clock: Now) -> None:
    sessions = Sessions(state, clock)
    token = create_sign_in_link(state, clock)
    session = sessions.redeem(token)
    assert sessions.is_open(session)
    assert sessions.redeem(token) is None


def test_a_link_ends_after_fifteen_minutes(state: StateStore, clock: Now) -> None:
    token = create_sign_in_link(state, clock)
    clock.moment += timedelta(minutes=15)
    assert Sessions(state, clock).redeem(token) is None


def test_a_session_ends_after_twelve_hours_and_its_row_goes_with_the_next_sign_in(
    state: StateStore, clock: Now
) -> None:
    sessions = Sessions(state, clock)
    session = sessions.redeem(create_sign_in_link(state, clock))
    clock.moment += timedelta(hours=11, minutes=59)
    assert sessions.is_open(session)
    clock.moment += timedelta(minutes=1)
    assert not sessions.is_open(session)
    sessions.redeem(create_sign_in_link(state, clock))
    assert len(state.rows("select 1 from console_sessions")) == 1


def test_signing_out_ends_the_session(state: StateStore, clock: Now) -> None:
    sessions = Sessions(state, clock)
    session = sessions.redeem(create_sign_in_link(state, clock))
    assert session
    sessions.close(session)
    assert not sessions.is_open(session)


@pytest.mark.parametrize("guess", ["", "x", "\udcff", None])
def test_a_guess_opens_nothing(state: StateStore, clock: Now, guess: str | None) -> None:
    sessions = Sessions(state, clock)
    create_sign_in_link(state, clock)
    assert not sessions.is_open(guess)
    assert guess is None or sessions.redeem(guess) is None


def test_the_state_file_holds_no_token(state: StateStore, clock: Now) -> None:
    token = create_sign_in_link(state, clock)
    session = Sessions(state, clock).redeem(token)
    kept = [
        tuple(row)
        for table in ("sign_in_links", "console_sessions")
        for row in state.rows(f"select * from {table}")
    ]
    assert len(kept) == 2
    assert token not in str(kept)
    assert str(session) not in str(kept)


def test_two_sign_ins_with_one_link_from_two_processes_give_one_session(tmp_path: Path, clock: Now) -> None:
    first, second = open_state(tmp_path / "state.db"), open_state(tmp_path / "state.db")
    token = create_sign_in_link(first, clock)
    sessions = [Sessions(store, clock).redeem(token) for store in (first, second)]
    assert sum(session is not None for session in sessions) == 1
    first.close()
    second.close()
