"""On which days nothing disruptive is done."""

from datetime import date

import pytest

from wedsync.tenants import Wedding, reasons_to_wait

FRIDAY, SATURDAY, SUNDAY = date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 22)


def wedding(on: date, *, today: date, couple: str = "c1", zone: str = "Europe/Rome") -> Wedding:
    return Wedding(couple_id=couple, wedding_date=on, time_zone=zone, today_there=today)


@pytest.mark.parametrize(
    ("today", "weddings", "said"),
    [
        (FRIDAY, [], []),
        (SATURDAY, [], ["it is Saturday, 2026-11-21, in Europe/London"]),
        (SUNDAY, [wedding(SUNDAY, today=SUNDAY)], ["wedding of couple c1 is today: 2026-11-22, Europe/Rome"]),
        (FRIDAY, [wedding(SATURDAY, today=FRIDAY)], ["wedding of couple c1 is tomorrow: 2026-11-21, Europe/Rome"]),
        (SUNDAY, [wedding(SATURDAY, today=SUNDAY)], []),
        (FRIDAY, [wedding(SUNDAY, today=FRIDAY)], []),
    ],
)
def test_saturdays_and_weddings_of_today_and_tomorrow_are_frozen(
    today: date, weddings: list[Wedding], said: list[str]
) -> None:
    assert list(reasons_to_wait(today, "Europe/London", weddings)) == said


def test_a_wedding_goes_by_the_clocks_of_its_own_place() -> None:
    """Sunday here, still Saturday in Honolulu: its wedding on Monday is not tomorrow there yet."""
    monday = date(2026, 11, 23)
    assert reasons_to_wait(SUNDAY, "Europe/London", [wedding(monday, today=SATURDAY)]) == ()
    assert len(reasons_to_wait(SUNDAY, "Europe/London", [wedding(monday, today=SUNDAY)])) == 1


def test_of_many_weddings_twenty_are_listed_and_the_rest_counted() -> None:
    many = [wedding(SUNDAY, today=SUNDAY, couple=f"c{number:02d}") for number in range(23)]
    said = reasons_to_wait(SUNDAY, "Europe/London", many)
    assert len(said) == 21
    assert said[-1] == "and 3 more weddings today or tomorrow"
