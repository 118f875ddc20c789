"""A season is believable, and the same for the same seed."""

import io
import json
from collections import defaultdict
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.demo.generate import write_frames
from wedsync.demo.season import COUPLES_PER_CIRCLE, Season, season_saturdays
from wedsync.demo.wedding import COLUMNS, Lines, wedding_lines

TODAY = date(2026, 6, 10)


def _season(size: float = 1.0, seed: int = 7, today: date = TODAY) -> Season:
    return Season(seed=seed, size=size, today=today)


def _lines(season: Season, numbers: range) -> Lines:
    lines: Lines = defaultdict(list)
    for number in numbers:
        circle = season.circle(number // COUPLES_PER_CIRCLE)
        wedding_lines(season.wedding(number), circle, season.today, lines)
    return lines


def test_the_same_seed_size_and_date_give_the_same_rows() -> None:
    assert _lines(_season(), range(5)) == _lines(_season(), range(5))
    assert _lines(_season(), range(5)) != _lines(_season(seed=8), range(5))


def test_every_line_has_the_columns_of_its_table() -> None:
    for table, lines in _lines(_season(), range(20)).items():
        for line in lines:
            assert line.endswith("\n")
            assert line.count("\t") == COLUMNS[table].count(","), (table, line)


def test_keys_are_of_version_7_and_unique() -> None:
    season = _season(size=0.4)
    seen: set[str] = set()
    for number in range(season.couples):
        wedding = season.wedding(number)
        keys = [wedding.id] + [
            line.split("\t")[column]
            for table, column in (("guests", 1), ("photo_groups", 1), ("messages", 3), ("households", 1))
            for line in _lines(season, range(number, number + 1))[table]
        ]
        assert all(UUID(key).version == 7 for key in keys)
        assert len(set(keys)) == len(keys)
        assert seen.isdisjoint(keys)
        seen.update(keys)


@given(st.dates(date(2024, 1, 1), date(2032, 1, 1)))
def test_some_weddings_are_today_some_next_saturday_and_most_on_saturdays(today: date) -> None:
    season = _season(today=today)
    days = [season.wedding(number).day for number in range(season.couples)]
    assert days.count(today) >= 2
    coming = [day for day in days if today < day <= today + timedelta(days=7) and day.weekday() == 5]
    assert len(coming) >= 3
    assert sum(day.weekday() == 5 for day in days) > 0.6 * len(days)
    assert all(abs((day - today).days) < 400 for day in days)


def test_the_season_is_may_to_october_and_this_month() -> None:
    saturdays = season_saturdays(date(2026, 1, 15))
    assert {day.month for day in saturdays} == {1, *range(5, 11)}
    assert all(day.weekday() == 5 for day in saturdays)


def test_members_of_photo_groups_are_guests_of_the_same_wedding() -> None:
    lines = _lines(_season(), range(10))
    guests = {tuple(line.split("\t")[:2]) for line in lines["guests"]}
    groups = {tuple(line.split("\t")[:2]) for line in lines["photo_groups"]}
    for line in lines["photo_group_members"]:
        couple, group, guest = line.rstrip("\n").split("\t")
        assert (couple, guest) in guests
        assert (couple, group) in groups


def test_groups_have_names_that_a_photographer_would_use() -> None:
    names = {line.split("\t")[2] for line in _lines(_season(), range(30))["photo_groups"]}
    assert {"Bride's parents", "All siblings", "Grandparents", "Wedding party"} <= names


@pytest.mark.parametrize(
    ("size", "couples", "circles"), [(0.01, 2, 1), (1, 150, 1), (1.5, 225, 2), (10, 1500, 10)]
)
def test_size_multiplies_couples_and_businesses(size: float, couples: int, circles: int) -> None:
    season = _season(size=size)
    assert (season.couples, season.circles) == (couples, circles)
    assert [number for part in season.parts for number in part] == list(range(couples))


def test_frames_say_what_follows_and_the_last_one_ends_them() -> None:
    output = io.BytesIO()
    write_frames(_season(size=0.05), output)
    output.seek(0)
    rows = defaultdict[str, int](int)
    while True:
        frame = json.loads(output.readline())
        if frame["table"] is None:
            break
        text = output.read(frame["size_bytes"])
        assert text.count(b"\n") == frame["rows"]
        rows[frame["table"]] += frame["rows"]
    assert output.read() == b""
    assert set(rows) == set(COLUMNS)
