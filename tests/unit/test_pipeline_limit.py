"""How many requests are let in beside each other."""

import pytest

from wedsync.database.pipeline.limit import Bounds, ConcurrencyLimit, Window, next_limit

BOUNDS = Bounds(floor=100, ceiling=2000, step=20, start=1000)
CALM = Window(started=50, late=0, peak=10)
LATE = Window(started=50, late=20, peak=500)


@pytest.mark.parametrize(
    ("limit", "seen", "was_late", "after"),
    [
        (1000, CALM, False, 1000),
        (1000, Window(started=50, late=5, peak=950), False, 1020),  # one in ten may wait
        (1990, Window(started=50, late=0, peak=1990), False, 2000),
        (1000, LATE, False, 1000),
        (1000, LATE, True, 400),
        (300, LATE, True, 240),
        (110, LATE, True, 100),
        (100, CALM, True, 120),
        (990, CALM, False, 1010),
    ],
)
def test_the_limit_after_a_window(limit: int, seen: Window, was_late: bool, after: int) -> None:
    assert next_limit(limit, seen, BOUNDS, was_late=was_late) == after


class Load:
    """A server that begins with requests of `waits_s` before, one each hundredth of a second."""

    def __init__(self) -> None:
        self.limit = ConcurrencyLimit(bounds=BOUNDS)
        self.now = 100.0

    def run(self, seconds: float, *, waits_s: float, under_way: int) -> None:
        for _ in range(round(seconds * 100)):
            self.now += 0.01
            self.limit.admits(under_way)
            self.limit.started(self.now - waits_s, self.now)


def test_a_short_stall_is_no_overload() -> None:
    load = Load()
    load.run(1, waits_s=0.002, under_way=5)
    load.now += 0.5  # nothing is begun with
    load.run(0.1, waits_s=0.1, under_way=90)
    load.run(1, waits_s=0.002, under_way=5)
    assert load.limit.value == 1000
    assert load.limit.admits(200)


def test_overload_lowers_the_limit_within_half_a_second_and_calm_brings_it_back() -> None:
    load = Load()
    load.run(0.5, waits_s=0.09, under_way=500)
    assert load.limit.value <= 400
    load.run(2, waits_s=0.09, under_way=load.limit.value)
    assert load.limit.value == 100
    assert not load.limit.admits(100)
    load.run(6, waits_s=0.002, under_way=5)
    assert load.limit.value >= 1000


def test_a_pause_brings_the_limit_back_before_anyone_asks_again() -> None:
    load = Load()
    load.run(3, waits_s=0.09, under_way=500)
    assert load.limit.value == 100
    load.now += 10
    load.run(0.01, waits_s=0, under_way=0)
    assert load.limit.value == 1000
    assert load.limit.admits(300)
