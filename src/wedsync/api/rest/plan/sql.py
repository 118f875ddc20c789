"""SQL put together from literal text, quoted identifiers and numbered parameters; never from values.

`compose` takes literal strings only, and the type checker holds us to it. What a client sends becomes a quoted
identifier (`identifier`), a parameter (`parameter`), or the name of a type (`type_name`, checked word by word).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import LiteralString

from wedsync.api.rest.errors import Problem, RestError
from wedsync.api.rest.plan.model import Slot
from wedsync.database.catalogue import Name

_WORD = re.compile(r"[^\W\d][\w]*")
_NUL = "\0"


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL: text with parameters between."""

    parts: tuple[str | Slot, ...]

    def __add__(self, other: "Sql") -> "Sql":
        """The one followed by the other."""
        return Sql(self.parts + other.parts)

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.parts)


NOTHING = Sql(())


def compose(template: LiteralString, *pieces: Sql) -> Sql:
    """The template with each `{}` replaced by the next piece."""
    texts = template.split("{}")
    parts: list[str | Slot] = [texts[0]]
    for piece, text in zip(pieces, texts[1:], strict=True):
        parts.extend(piece.parts)
        parts.append(text)
    return Sql(tuple(part for part in parts if part))


def joined(separator: LiteralString, pieces: Iterable[Sql]) -> Sql:
    """The pieces with the separator between them."""
    parts: list[str | Slot] = []
    for number, piece in enumerate(pieces):
        if number:
            parts.append(separator)
        parts.extend(piece.parts)
    return Sql(tuple(parts))


def identifier(name: str) -> Sql:
    """A quoted identifier."""
    if _NUL in name:
        raise RestError(
            Problem(status=400, code="22021", message='invalid byte sequence for encoding "UTF8": 0x00')
        )
    doubled = name.replace('"', '""')
    return Sql((f'"{doubled}"',))


def qualified(name: Name) -> Sql:
    """A quoted identifier in its schema."""
    return compose("{}.{}", identifier(name[0]), identifier(name[1]))


def column(alias: str, name: str) -> Sql:
    """A column of what is called so in `from`."""
    return compose("{}.{}", identifier(alias), identifier(name))


def parameter(slot: Slot) -> Sql:
    """A parameter; the same slot in two places is one parameter."""
    return Sql((slot,))


def constant(value: str) -> Sql:
    """A parameter with the same value in all requests of the shape."""
    return parameter(Slot(value.encode()))


def type_name(name: str) -> Sql:
    """A type as a client writes it after `::`, unquoted: `integer`, `double precision`, `_int4`."""
    words = name.split(" ")
    if not all(map(_WORD.fullmatch, words)):
        raise RestError(Problem(status=400, code="42704", message=f'type "{name}" does not exist'))
    return Sql((" ".join(words),))


def known_type(name: str) -> Sql:
    """A type as `format_type` writes it: from the catalogue only, never from a client."""
    return Sql((name,))


def number(value: int) -> Sql:
    """A whole number that the planner of queries shall see."""
    return Sql((str(int(value)),))


def clause(template: LiteralString, pieces: Sequence[Sql], separator: LiteralString) -> Sql:
    """The template around the joined pieces; nothing if there are none."""
    return compose(template, joined(separator, pieces)) if pieces else NOTHING


def rendered(sql: Sql) -> tuple[bytes, tuple[Slot, ...]]:
    """The text with `$1 …`, and what they stand for."""
    numbers: dict[int, int] = {}
    slots: list[Slot] = []
    texts: list[str] = []
    for part in sql.parts:
        if isinstance(part, Slot):
            number = numbers.get(id(part))
            if number is None:
                slots.append(part)
                number = numbers[id(part)] = len(slots)
            texts.append(f"${number}")
        else:
            texts.append(part)
    return "".join(texts).encode(), tuple(slots)
