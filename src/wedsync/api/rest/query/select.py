"""`select=alias:column->path::cast,relation!hint!inner(…),...spread(…)`."""

from dataclasses import dataclass

from wedsync.api.rest.query.fields import json_path
from wedsync.api.rest.query.limits import QueryLimits
from wedsync.api.rest.query.model import Field, SelectField, SelectRelation
from wedsync.api.rest.query.problems import too_large
from wedsync.api.rest.query.scanner import Scanner

_AGGREGATES = ("sum", "avg", "count", "max", "min")
_END = '"->>", "->", "::", ".", ")", "," or end of input'
Selected = SelectField | SelectRelation


@dataclass(slots=True)
class _Seen:
    limits: QueryLimits
    relations: int = 0


def select_list(scanner: Scanner, limits: QueryLimits) -> tuple[Selected, ...]:
    """The whole list. What follows a closing parenthesis too many is ignored, as PostgREST does."""
    return _list(scanner, _Seen(limits), 0)


def _list(scanner: Scanner, seen: _Seen, depth: int) -> tuple[Selected, ...]:
    scanner.skip_blanks()
    if scanner.done or scanner.sees(")"):
        return ()
    items = [_item(scanner, seen, depth)]
    while scanner.take(","):
        items.append(_item(scanner, seen, depth))
    return tuple(items)


def _item(scanner: Scanner, seen: _Seen, depth: int) -> Selected:
    scanner.skip_blanks()
    relation = _relation(scanner, seen, depth)
    found = relation or _field(scanner)
    scanner.skip_blanks()
    if not (scanner.done or scanner.sees(",", ")")):
        raise scanner.failed(_END)
    return found


def _relation(scanner: Scanner, seen: _Seen, depth: int) -> SelectRelation | None:
    """A relation with its list in parentheses; the position is as before where there is none."""
    start = scanner.at
    spread = scanner.take("...")
    alias = None if spread else _alias(scanner)
    target = scanner.name()
    if target is None or target == "count":
        scanner.at = start
        return None
    hint, inner = _hints(scanner)
    if not scanner.take("("):
        if spread:
            raise scanner.failed('"("')
        scanner.at = start
        return None
    seen.relations += 1
    if depth >= seen.limits.depth:
        raise too_large("The select is nested too deeply", f"Up to {seen.limits.depth} levels are accepted.")
    if seen.relations > seen.limits.relations:
        raise too_large(
            "The select has too many relations", f"Up to {seen.limits.relations} are accepted altogether."
        )
    selected = _list(scanner, seen, depth + 1)
    scanner.need(")")
    return SelectRelation(target=target, select=selected, alias=alias, hint=hint, inner=inner, spread=spread)


def _hints(scanner: Scanner) -> tuple[str | None, bool]:
    hint, inner = None, False
    for _ in range(2):
        start = scanner.at
        if not scanner.take("!"):
            break
        name = scanner.name()
        if name in ("left", "inner"):
            inner = inner or name == "inner"
        elif name is not None:
            hint = hint or name
        else:
            scanner.at = start
            raise scanner.failed(_END)
    return hint, inner


def _alias(scanner: Scanner) -> str | None:
    start = scanner.at
    name = scanner.name()
    if name is not None and scanner.sees(":") and not scanner.sees("::"):
        scanner.at += 1
        scanner.skip_blanks()
        return name
    scanner.at = start
    return None


def _field(scanner: Scanner) -> SelectField:
    if scanner.take("*"):
        return SelectField(field=Field(name="*"))
    alias = _alias(scanner)
    if scanner.take("count()"):
        return SelectField(field=Field(name="*"), alias=alias, aggregate="count", aggregate_cast=_cast(scanner))
    column = Field(name=scanner.need_name(), path=json_path(scanner))
    cast = _cast(scanner)
    aggregate = None
    if scanner.take("."):
        aggregate = scanner.take_one_of(*_AGGREGATES)
        if aggregate is None:
            raise scanner.failed('"sum", "avg", "count", "max" or "min"')
        scanner.need("()")
    return SelectField(
        field=column,
        alias=alias,
        cast=cast,
        aggregate=aggregate,
        aggregate_cast=_cast(scanner) if aggregate else None,
    )


def _cast(scanner: Scanner) -> str | None:
    return scanner.need_word() if scanner.take("::") else None
