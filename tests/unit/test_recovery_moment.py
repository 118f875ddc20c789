"""Moments that an operator names."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.errors import UsageProblem
from wedsync.recovery import parse_moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-14 11:05:30+01:00", datetime(2026, 6, 14, 10, 5, 30, tzinfo=UTC)),
        ("2026-06-14T10:05:30Z", datetime(2026, 6, 14, 10, 5, 30, tzinfo=UTC)),
        ("  2026-06-14T10:05:30.123456Z\n", datetime(2026, 6, 14, 10, 5, 30, 123456, tzinfo=UTC)),
        ("2026-06-14 11:05+0530", datetime(2026, 6, 14, 5, 35, tzinfo=UTC)),
    ],
)
def test_a_moment_with_its_offset_is_read_as_utc(text: str, moment: datetime) -> None:
    found = parse_moment(text)
    assert found == moment
    assert found.tzinfo is UTC


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01 10:00Z", "14.06.2026 11:05", "2026-06-14 25:00Z"])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageProblem, match="is no moment") as caught:
        parse_moment(text)
    assert "2026-06-14 11:05:30+01:00" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["2026-06-14 11:05:30", "2026-06-14"])
def test_a_moment_without_an_offset_is_not_guessed(text: str) -> None:
    with pytest.raises(UsageProblem, match="does not say its time zone") as caught:
        parse_moment(text)
    assert "+00:00" in str(caught.value.hint)


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001 - made aware below
    st.integers(-14 * 60, 14 * 60),
)
def test_every_moment_survives_being_written_and_read(naive: datetime, offset_min: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    assert parse_moment(moment.isoformat(sep=" ")) == moment
