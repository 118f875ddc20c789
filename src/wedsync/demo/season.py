"""Which weddings the demo season has, when and where: plain decisions from a seed and a date."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from wedsync.demo.words import HOME_VENUES, MEN, OTHER_VENUES, SURNAMES, WOMEN

COUPLES_PER_CIRCLE = 150
COUPLES_PER_PART = 25
_SATURDAY = 5
_HIGH_SEASON = range(5, 11)  # May to October


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A business of the season and the supplier it offers."""

    id: str
    supplier_id: str
    owner_user_id: str
    name: str
    slug: str
    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """Businesses that work together: a busy photographer, a venue, two planners."""

    number: int
    photographer: Organization
    venue: Organization
    planners: tuple[Organization, ...]

    @property
    def organizations(self) -> tuple[Organization, ...]:
        return (self.photographer, self.venue, *self.planners)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wedding:
    """A couple and its day."""

    number: int
    """In the whole season, from 0."""
    id: str
    key_prefix: str
    """The first 30 of 36 characters of its rows' keys."""
    one: str
    other: str
    one_is_bride: bool
    other_is_bride: bool
    surnames: tuple[str, str]
    day: date
    venue_name: str
    venue_address: str
    time_zone: str
    at_home_venue: bool
    booked_at: datetime
    seed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """All of a demo: the same for the same seed, size and date."""

    seed: int
    size: float
    today: date

    @property
    def couples(self) -> int:
        return max(1, round(COUPLES_PER_CIRCLE * self.size))

    @property
    def circles(self) -> int:
        return -(-self.couples // COUPLES_PER_CIRCLE)

    @property
    def parts(self) -> tuple[range, ...]:
        """The weddings in portions, each loaded as one transaction."""
        return tuple(
            range(first, min(first + COUPLES_PER_PART, self.couples))
            for first in range(0, self.couples, COUPLES_PER_PART)
        )

    def circle(self, number: int) -> Circle:
        """The businesses of one circle; the names of all but the first carry its number."""
        random_ = random.Random(f"{self.seed}/circle/{number}")
        suffix = "" if number == 0 else f" {number + 1}"

        def organization(name: str, category: str) -> Organization:
            full_name = name + suffix
            return Organization(
                id=_key(random_, datetime.combine(self.today - timedelta(days=900), datetime.min.time(), UTC)),
                supplier_id=_key(
                    random_, datetime.combine(self.today - timedelta(days=899), datetime.min.time(), UTC)
                ),
                owner_user_id=demo_user_id(f"{self.seed}/{full_name}"),
                name=full_name,
                slug=full_name.lower().replace("&", "and").replace(" ", "-").replace("'", ""),
                category=category,
            )

        return Circle(
            number=number,
            photographer=organization("Ellis & Moore Photography", "photographer"),
            venue=organization("Hartwell Barn", "venue"),
            planners=(organization("Ivy Lane Weddings", "planner"), organization("Saltmarsh Events", "planner")),
        )

    def wedding(self, number: int) -> Wedding:
        """One of the season's weddings; the first of each circle are today and next Saturday."""
        seed = f"{self.seed}/wedding/{number}"
        random_ = random.Random(seed)
        one_is_bride, other_is_bride = random_.choices(
            [(True, False), (True, True), (False, False)], weights=[84, 8, 8]
        )[0]
        day = wedding_day(number % COUPLES_PER_CIRCLE, self.today, random_)
        at_home_venue = random_.random() < 0.45
        if at_home_venue:
            (venue_name, venue_address), time_zone = random_.choice(HOME_VENUES), "Europe/London"
        else:
            venue_name, venue_address, time_zone = random_.choice(OTHER_VENUES)
        booked_on = min(day, self.today) - timedelta(days=random_.randint(60, 420))
        booked_at = datetime.combine(booked_on, datetime.min.time(), UTC) + timedelta(
            hours=random_.randint(9, 20), milliseconds=random_.randrange(3_600_000)
        )
        identity = _key(random_, booked_at)
        return Wedding(
            number=number,
            id=identity,
            key_prefix=identity[:30],
            one=random_.choice(WOMEN if one_is_bride else MEN),
            other=random_.choice(WOMEN if other_is_bride else MEN),
            one_is_bride=one_is_bride,
            other_is_bride=other_is_bride,
            surnames=(random_.choice(SURNAMES), random_.choice(SURNAMES)),
            day=day,
            venue_name=venue_name,
            venue_address=venue_address,
            time_zone=time_zone,
            at_home_venue=at_home_venue,
            booked_at=booked_at,
            seed=seed,
        )


def wedding_day(number: int, today: date, random_: random.Random) -> date:
    """The date of a circle's wedding: some today, some next Saturday, most on Saturdays of the season."""
    next_saturday = today + timedelta(days=(_SATURDAY - today.weekday()) % 7 or 7)
    if number < 2:
        return today
    if number < 5:
        return next_saturday
    day = random_.choice(season_saturdays(today))
    # Fridays and Sundays are cheaper, and some like a Thursday.
    return day + timedelta(days=random_.choices([0, -1, 1, -2], weights=[80, 9, 8, 3])[0])


def season_saturdays(today: date) -> Sequence[date]:
    """Saturdays from half a year back to a year ahead, of May to October and of this month."""
    first = today - timedelta(days=182)
    first += timedelta(days=(_SATURDAY - first.weekday()) % 7)
    saturdays = (first + timedelta(weeks=week) for week in range(79))
    return [
        day for day in saturdays if day.month in _HIGH_SEASON or (day.year, day.month) == (today.year, today.month)
    ]


def demo_user_id(name: str) -> str:
    """A user id that follows from a name, so that tests and docs can sign in as somebody."""
    digest = hashlib.sha256(f"wedsync demo user {name}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


def _key(random_: random.Random, at: datetime) -> str:
    """A uuid of version 7 (RFC 9562) of that moment; its last six digits are 0, its rows count on from there."""
    milliseconds = f"{int(at.timestamp() * 1000):012x}"
    bits = random_.getrandbits(12 + 14 + 24)
    return (
        f"{milliseconds[:8]}-{milliseconds[8:]}-7{bits & 0xFFF:03x}"
        f"-{0x8000 | bits >> 12 & 0x3FFF:04x}-{bits >> 26:06x}000000"
    )
