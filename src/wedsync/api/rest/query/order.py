"""`order=name.desc.nullslast,venue(city)`."""

from wedsync.api.rest.query.fields import field
from wedsync.api.rest.query.model import Order
from wedsync.api.rest.query.scanner import Scanner

_DIRECTIONS = {".asc": False, ".desc": True}
_END = 'delimiter (.), "," or end of input'
_NULLS = {".nullsfirst": True, ".nullslast": False}


def order_terms(scanner: Scanner) -> tuple[Order, ...]:
    """All terms, of which there is one at least."""
    terms = [_term(scanner)]
    while scanner.take(","):
        terms.append(_term(scanner))
    if not scanner.done:
        raise scanner.failed(_END)
    return tuple(terms)


def _term(scanner: Scanner) -> Order:
    scanner.skip_blanks()
    start = scanner.at
    relation = scanner.name()
    opening = scanner.at
    if relation is not None and scanner.take("("):
        column = field(scanner)
        if not scanner.take(")"):
            scanner.at = opening
            raise scanner.failed(_END)
    else:
        scanner.at, relation = start, None
        column = field(scanner)
    direction = scanner.take_one_of(*_DIRECTIONS)
    nulls = scanner.take_one_of(*_NULLS)
    if scanner.sees("."):
        scanner.at += 1
        words = '"nullsfirst" or "nullslast"'
        raise scanner.failed(words if direction else f'"asc", "desc", {words}')
    scanner.skip_blanks()
    return Order(
        field=column,
        relation=relation,
        descending=_DIRECTIONS[direction] if direction else None,
        nulls_first=_NULLS[nulls] if nulls else None,
    )
