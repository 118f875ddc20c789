"""The search for the segment in which a recovery stops: right whatever the guess, and short where it is good."""

from hypothesis import given
from hypothesis import strategies as st

from wedsync.recovery.search import Search


def looks(count: int, answer: int, guess: int) -> int:
    """How many looks it takes to find `answer`, which may be `count`: none lies behind."""
    search, looked = Search(count, guess=guess), 0
    while not search.is_over:
        here = search.next()
        assert search.low <= here < search.high
        looked += 1
        if here >= answer:
            search.lies_behind(here)
        else:
            search.lies_before(here)
    assert search.high == answer
    return looked


@given(st.integers(1, 50_000), st.data())
def test_it_is_found_whatever_the_guess(count: int, data: st.DataObject) -> None:
    answer = data.draw(st.integers(0, count))
    guess = data.draw(st.integers(-5, count + 5))
    assert looks(count, answer, guess) <= 2 * count.bit_length() + 2


@given(st.integers(1, 50_000), st.data())
def test_a_guess_that_is_right_or_one_too_early_takes_two_looks(count: int, data: st.DataObject) -> None:
    answer = data.draw(st.integers(0, count))
    assert looks(count, answer, answer) <= 2
    assert looks(count, answer, max(answer - 1, 0)) <= 2
