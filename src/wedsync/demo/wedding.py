"""All the rows of one wedding, as lines for COPY.

Written for speed: a row is one f-string, keys are a prefix and a counter, chance comes from `random()`
alone. About 2 µs a row; PostgreSQL needs several times that to take it in.
"""

import json
import random
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import count
from typing import Final, TypeVar

from wedsync.demo.season import Circle, Organization, Wedding, demo_user_id
from wedsync.demo.words import (
    COLOURS,
    DIETS,
    FROM_COUPLE,
    FROM_SUPPLIER,
    MEN,
    PLACES,
    SONGS,
    SUBJECTS,
    SURNAMES,
    TIMELINE,
    WOMEN,
)

T = TypeVar("T")

COLUMNS: Final = {
    "auth.users": "id, email, email_confirmed_at, raw_user_meta_data",
    "organizations": "id, name, slug, time_zone",
    "organization_members": "organization_id, user_id, role",
    "suppliers": "organization_id, id, name, category, email, website",
    "couples": (
        "id, organization_id, partner_one_name, partner_two_name, email, wedding_date, time_zone, venue_name,"
        " venue_address, status, created_at"
    ),
    "couple_members": "couple_id, user_id, role",
    "connections": "couple_id, organization_id, supplier_id, status, can_edit",
    "households": "couple_id, id, name, created_at",
    "guests": (
        "couple_id, id, household_id, first_name, last_name, email, phone, side, relationship, is_child,"
        " rsvp_status, dietary_notes, table_number, created_at"
    ),
    "timeline_events": "couple_id, id, title, kind, starts_at, ends_at, location, created_at",
    "photo_groups": (
        "couple_id, id, name, estimated_duration, scheduled_start, location, priority, status, created_at"
    ),
    "photo_group_members": "couple_id, photo_group_id, guest_id",
    "core_field_values": "couple_id, field_key, value, version",
    "message_threads": "couple_id, organization_id, id, subject, created_at",
    "messages": "couple_id, organization_id, thread_id, id, sender_kind, sender_name, body, sent_at, read_at",
}
"""Tables in the order that their foreign keys ask for (of `public` unless they say), and the columns of a line."""

Lines = dict[str, list[str]]


def qualified(table: str) -> tuple[str, str]:
    """Schema and name of a table of `COLUMNS`."""
    schema, _, name = table.rpartition(".")
    return schema or "public", name


_COUNTER = tuple(f"{number:06x}" for number in range(1, 16384))
_MAIL_NAME = {
    name: unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower().replace("'", "")
    for name in {*WOMEN, *MEN, *SURNAMES}
}
_FIRST_NAMES = WOMEN + MEN


@dataclass(slots=True)
class _Guests:
    """The keys of guests by side and relationship, for the photo groups."""

    by_kind: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    children: list[str] = field(default_factory=list[str])
    everybody: list[str] = field(default_factory=list[str])

    def of(self, relationships: Sequence[str], *sides: str) -> list[str]:
        return [
            key
            for side in sides or ("partner_one", "partner_two", "both")
            for relationship in relationships
            for key in self.by_kind.get((side, relationship), ())
        ]


def organization_lines(circle: Circle) -> Lines:
    """The businesses of a circle."""
    lines: Lines = defaultdict(list)
    for organization in circle.organizations:
        host = f"{organization.slug}.example"
        lines["organizations"].append(
            f"{organization.id}\t{organization.name}\t{organization.slug}\tEurope/London\n"
        )
        lines["auth.users"].append(_user(organization.owner_user_id, f"owner@{host}", organization.name))
        lines["organization_members"].append(f"{organization.id}\t{organization.owner_user_id}\towner\n")
        lines["suppliers"].append(
            f"{organization.id}\t{organization.supplier_id}\t{organization.name}\t{organization.category}"
            f"\thello@{host}\thttps://{host}\n"
        )
    photographer = circle.photographer
    for role, name in (("staff", "second shooter"), ("staff", "editor"), ("viewer", "book keeper")):
        user = demo_user_id(f"{photographer.slug} {name}")
        email = f"{name.replace(' ', '.')}@{photographer.slug}.example"
        lines["auth.users"].append(_user(user, email, name.capitalize()))
        lines["organization_members"].append(f"{photographer.id}\t{user}\t{role}\n")
    return lines


def _user(user_id: str, email: str, name: str) -> str:
    return f'{user_id}\t{email}\t2026-01-01 00:00:00+00\t{{"name": "{name}"}}\n'


def wedding_lines(wedding: Wedding, circle: Circle, today: date, lines: Lines) -> None:
    """Append all rows of one wedding to `lines`, by table."""
    writer = _Writer(wedding, circle, today, lines)
    guests = writer.write_guests()
    writer.write_couple()
    writer.write_timeline()
    writer.write_photo_groups(guests)
    writer.write_core_fields(len(guests.everybody))
    writer.write_messages(len(guests.everybody))


class _Writer:
    """The rows of one wedding in the making: what they share, so that each is cheap."""

    def __init__(self, wedding: Wedding, circle: Circle, today: date, lines: Lines) -> None:
        self.wedding = wedding
        self.circle = circle
        self.lines = lines
        self.today = today
        self.days_to_go = (wedding.day - today).days
        self.random = random.Random(wedding.seed + "/rows").random
        self.keys = iter(_COUNTER)
        self.ceremony_minute = 12 * 60 + 15 * int(self.random() * 17)
        # Moments at which somebody worked on the plan, from the booking to the day or today, in order.
        last = min(wedding.day, today)
        span_s = max(86_400, (last - wedding.booked_at.date()).days * 86_400 - 86_400)
        self.worked_at = sorted(
            _moment(wedding.booked_at + timedelta(seconds=span_s * self.random())) for _ in range(40)
        )

    def key(self) -> str:
        return self.wedding.key_prefix + next(self.keys)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(self.random() * len(choices))]

    def local(self, minute: int) -> str:
        """That minute of the wedding day in its own time zone, as timestamptz reads it."""
        days, minute = divmod(minute, 24 * 60)
        day = self.wedding.day + timedelta(days=days)
        return f"{day} {minute // 60:02d}:{minute % 60:02d}:00 {self.wedding.time_zone}"

    def connected(self) -> list[Organization]:
        circle, wedding = self.circle, self.wedding
        found = [circle.photographer]
        if wedding.at_home_venue:
            found.append(circle.venue)
        if wedding.number % 3 == 0:
            found.append(circle.planners[wedding.number // 3 % len(circle.planners)])
        return found

    def write_couple(self) -> None:
        wedding = self.wedding
        one_name, other_name = (
            f"{first} {last}" for first, last in zip((wedding.one, wedding.other), wedding.surnames, strict=True)
        )
        email = f"{_MAIL_NAME[wedding.one]}.and.{_MAIL_NAME[wedding.other]}@example.com"
        state = "completed" if self.days_to_go < 0 else "booked"
        self.lines["couples"].append(
            f"{wedding.id}\t{self.circle.photographer.id}\t{one_name}\t{other_name}\t{email}\t{wedding.day}"
            f"\t{wedding.time_zone}\t{wedding.venue_name}\t{wedding.venue_address}\t{state}"
            f"\t{_moment(wedding.booked_at)}\n"
        )
        for person, first in (("one", wedding.one), ("two", wedding.other)):
            user = demo_user_id(f"{wedding.id} {person}")
            # The key's digits keep apart who has the same name at another wedding.
            address = f"{_MAIL_NAME[first]}.{person}.{wedding.key_prefix[14:].replace('-', '')}@example.com"
            self.lines["auth.users"].append(_user(user, address, first))
            self.lines["couple_members"].append(f"{wedding.id}\t{user}\tpartner\n")
        for organization in self.connected():
            edits = "t" if organization.category != "venue" else "f"
            self.lines["connections"].append(
                f"{wedding.id}\t{organization.id}\t{organization.supplier_id}\tactive\t{edits}\n"
            )

    def write_guests(self) -> _Guests:
        """Families first, then friends and colleagues, household by household."""
        guests = _Guests()
        for side, surname in zip(("partner_one", "partner_two"), self.wedding.surnames, strict=True):
            self._household(guests, side, surname, ("parent", "parent"))
            self._household(guests, side, surname, ("grandparent", "grandparent"))
            for _ in range(int(self.random() * 3)):
                children = ("niece_nephew",) * int(self.random() * 3)
                self._household(guests, side, surname, ("sibling", "other", *children))
            for _ in range(3 + int(self.random() * 4)):
                children = ("cousin",) * int(self.random() * 3)
                self._household(guests, side, self.pick(SURNAMES), ("aunt_uncle", "aunt_uncle", *children))
            for _ in range(3 + int(self.random() * 2)):
                self._household(guests, side, self.pick(SURNAMES), ("wedding_party",))
            for _ in range(8 + int(self.random() * 16)):
                kinds = ("friend", "friend") if self.random() < 0.65 else ("friend",)
                self._household(guests, side, self.pick(SURNAMES), kinds)
            for _ in range(int(self.random() * 8)):
                self._household(guests, side, self.pick(SURNAMES), ("colleague", "other"))
        for _ in range(2 + int(self.random() * 5)):
            self._household(guests, "both", self.pick(SURNAMES), ("friend", "friend", "child", "child"))
        return guests

    def _household(self, guests: _Guests, side: str, surname: str, kinds: Sequence[str]) -> None:
        chance = self.random
        couple, household = self.wedding.id, self.key()
        created = self.pick(self.worked_at[:25])
        title = f"The {surname} family" if len(kinds) > 2 else f"{surname} household"
        self.lines["households"].append(f"{couple}\t{household}\t{title}\t{created}\n")
        answer = self._answer()
        table = "\\N" if self.days_to_go > 60 else str(1 + int(chance() * 16))
        add = self.lines["guests"].append
        for kind in kinds:
            key = self.key()
            first = _FIRST_NAMES[int(chance() * len(_FIRST_NAMES))]
            is_child = kind in {"child", "niece_nephew"}
            if is_child:
                email = phone = "\\N"
                guests.children.append(key)
            else:
                number = int(chance() * 10_000)
                email = f"{_MAIL_NAME[first]}.{_MAIL_NAME[surname]}{number % 100}@example.com"
                phone = f"+44 7700 90{number:04d}" if number % 3 else "\\N"
            diet = DIETS[int(chance() * len(DIETS))] if chance() < 0.14 else "\\N"
            add(
                f"{couple}\t{key}\t{household}\t{first}\t{surname}\t{email}\t{phone}\t{side}\t{kind}"
                f"\t{'t' if is_child else 'f'}\t{answer}\t{diet}\t{table}\t{created}\n"
            )
            guests.by_kind[side, kind].append(key)
            guests.everybody.append(key)

    def _answer(self) -> str:
        """A household's answer: most wait until a month before, and nobody is asked after the day."""
        asked = min(1.0, max(0.05, 1.25 - self.days_to_go / 150))
        drawn = self.random()
        if drawn > asked:
            return "pending"
        if self.days_to_go > 0 and drawn < 0.03 * asked:
            return "maybe"
        return "declined" if drawn > asked * 0.89 else "accepted"

    def write_timeline(self) -> None:
        couple = self.wedding.id
        created = self.worked_at[12:30]
        for title, kind, offset, took, place in TIMELINE:
            if self.random() < 0.1 and kind not in {"ceremony", "meal"}:
                continue
            start = self.ceremony_minute + offset
            self.lines["timeline_events"].append(
                f"{couple}\t{self.key()}\t{title}\t{kind}\t{self.local(start)}\t{self.local(start + took)}"
                f"\t{place}\t{self.pick(created)}\n"
            )

    def write_photo_groups(self, guests: _Guests) -> None:
        """The list that a photographer works through after the ceremony, the old and the small first."""
        couple = self.wedding.id
        minute = self.ceremony_minute + 55
        is_scheduled = self.days_to_go < 90
        state = "taken" if self.days_to_go < 0 else "ready" if self.days_to_go < 8 else "planned"
        member = self.lines["photo_group_members"].append
        for priority, name, keys in self._groups(guests):
            if not keys:
                continue
            key = self.key()
            duration = 3 if len(keys) < 5 else 5 if len(keys) < 13 else 8 if len(keys) < 41 else 12
            start = self.local(minute) if is_scheduled and priority < 5 else "\\N"
            minute += duration + 1
            self.lines["photo_groups"].append(
                f"{couple}\t{key}\t{name}\t{duration}\t{start}\t{self.pick(PLACES)}\t{priority}\t{state}"
                f"\t{self.pick(self.worked_at)}\n"
            )
            line_start = f"{couple}\t{key}\t"
            for guest in keys:
                member(f"{line_start}{guest}\n")

    def _groups(self, guests: _Guests) -> list[tuple[int, str, list[str]]]:
        one, other = _possessives(self.wedding)
        close = ("parent", "stepparent", "grandparent", "sibling")
        family = (*close, "niece_nephew", "aunt_uncle", "cousin")
        of = guests.of
        return [
            (1, "Grandparents", of(["grandparent"])),
            (1, f"{one} grandparents", of(["grandparent"], "partner_one")),
            (1, f"{other} grandparents", of(["grandparent"], "partner_two")),
            (1, f"{one} parents", of(["parent"], "partner_one")),
            (1, f"{other} parents", of(["parent"], "partner_two")),
            (1, "Both sets of parents", of(["parent"])),
            (2, f"{one} siblings", of(["sibling"], "partner_one")),
            (2, f"{other} siblings", of(["sibling"], "partner_two")),
            (2, "All siblings", of(["sibling"])),
            (2, "Nieces and nephews", of(["niece_nephew"])),
            (2, f"{one} immediate family", of(close, "partner_one")),
            (2, f"{other} immediate family", of(close, "partner_two")),
            (3, f"{one} aunts and uncles", of(["aunt_uncle"], "partner_one")),
            (3, f"{other} aunts and uncles", of(["aunt_uncle"], "partner_two")),
            (4, "All cousins", of(["cousin"])),
            (3, f"{one} whole family", of(family, "partner_one")),
            (3, f"{other} whole family", of(family, "partner_two")),
            (1, "Wedding party", of(["wedding_party"])),
            (3, f"{one} side of the wedding party", of(["wedding_party"], "partner_one")),
            (3, f"{other} side of the wedding party", of(["wedding_party"], "partner_two")),
            (4, "All the children", guests.children),
            (4, "University friends", of(["friend"], "partner_one")[:14]),
            (4, "School friends", of(["friend"], "partner_two")[:11]),
            (5, "Work colleagues", of(["colleague"])),
            (2, "Everybody on the steps", guests.everybody),
        ]

    def write_core_fields(self, guest_count: int) -> None:
        wedding = self.wedding
        minute = self.ceremony_minute
        values: dict[str, object] = {
            "guest_count": guest_count,
            "wedding_date": wedding.day.isoformat(),
            "ceremony_time": f"{minute // 60:02d}:{minute % 60:02d}",
            "ceremony_venue": wedding.venue_name,
            "reception_venue": wedding.venue_name,
            "venue_address": wedding.venue_address,
            "time_zone": wedding.time_zone,
            "colours": self.pick(COLOURS),
            "first_dance": self.pick(SONGS),
            "bridesmaids": 2 + int(self.random() * 4),
            "dress_code": self.pick(("black tie", "lounge suits", "summer smart")),
            "plan_for_rain": self.pick(("orangery", "marquee", "umbrellas and courage")),
            "emergency_contact": f"+44 7700 90{int(self.random() * 10_000):04d}",
            "children_welcome": self.random() < 0.8,
            "unplugged_ceremony": self.random() < 0.4,
        }
        for name, value in values.items():
            text = json.dumps(value, ensure_ascii=False)
            version = 1 + int(self.random() * 4)
            self.lines["core_field_values"].append(f"{wedding.id}\t{name}\t{text}\t{version}\n")

    def write_messages(self, guest_count: int) -> None:
        """One or two conversations with each connected business; keys rise with the time, as in real ones."""
        wedding = self.wedding
        for organization in self.connected():
            for subject in range(1 + (self.random() < 0.5)):
                thread = self.key()
                sent_at = sorted(self.pick(self.worked_at) for _ in range(6 + int(self.random() * 28)))
                self.lines["message_threads"].append(
                    f"{wedding.id}\t{organization.id}\t{thread}"
                    f"\t{SUBJECTS[(wedding.number + subject) % len(SUBJECTS)]}\t{sent_at[0]}\n"
                )
                start = f"{wedding.id}\t{organization.id}\t{thread}\t"
                for number, at in zip(count(), sent_at):
                    kind, sender, bodies = (
                        ("couple", wedding.one, FROM_COUPLE)
                        if number % 2 == 0
                        else ("supplier", organization.name, FROM_SUPPLIER)
                    )
                    body = self.pick(bodies)
                    if "{" in body:
                        body = body.format(
                            guests=guest_count, one=wedding.one, other=wedding.other, venue=wedding.venue_name
                        )
                    read_at = at if number + 2 < len(sent_at) else "\\N"
                    self.lines["messages"].append(
                        f"{start}{self.key()}\t{kind}\t{sender}\t{body}\t{at}\t{read_at}\n"
                    )


def _possessives(wedding: Wedding) -> tuple[str, str]:
    """How the two are called in the names of groups: `Bride's` and `Groom's`, or by first name."""
    if wedding.one_is_bride != wedding.other_is_bride:
        return "Bride's", "Groom's"
    return f"{wedding.one}'s", f"{wedding.other}'s"


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S+00")
