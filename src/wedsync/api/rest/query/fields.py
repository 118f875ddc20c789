"""Fields: a column's name, and the way into its JSON."""

import re

from wedsync.api.rest.query.model import Field
from wedsync.api.rest.query.scanner import Scanner

_INDEX = re.compile(r"-?[0-9]{1,9}(?=->|::|[.,)]|$)")
_DIGITS = re.compile(r"[0-9]+")
_KEY = re.compile(r"[^(\-:.,>)]+(?:-(?!>)[^(\-:.,>)]+)*")


def field(scanner: Scanner) -> Field:
    """`name->key->>0`, with blanks around."""
    scanner.skip_blanks()
    found = Field(name=scanner.need_name(), path=json_path(scanner))
    scanner.skip_blanks()
    return found


def json_path(scanner: Scanner) -> tuple[tuple[str, str | int], ...]:
    """Arrows and their operands, as many as follow."""
    steps: list[tuple[str, str | int]] = []
    while arrow := scanner.take_one_of("->>", "->"):
        index = scanner.match(_INDEX)
        steps.append((arrow, int(index[0]) if index else _key(scanner)))
    return tuple(steps)


def _key(scanner: Scanner) -> str:
    quoted = scanner.quoted()
    if quoted is not None:
        return quoted
    if scanner.take("-"):  # a number that is none
        digits = scanner.match(_DIGITS)
        raise scanner.failed('digit, "->", "::", ".", "," or end of input' if digits else "digit")
    found = scanner.match(_KEY)
    if not found:
        raise scanner.failed('"-", digit or any non reserved character different from: .,>()')
    return "-".join(part.strip() for part in found[0].split("-"))
