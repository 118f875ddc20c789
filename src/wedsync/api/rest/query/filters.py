"""Filters and trees of them."""

import re
from collections.abc import Callable

from wedsync.api.rest.query.fields import field
from wedsync.api.rest.query.limits import QueryLimits
from wedsync.api.rest.query.model import Field, Filter, Logic, Quantifier, Value
from wedsync.api.rest.query.operators import FULL_TEXT, IS_OPERANDS, QUANTIFIED, SIMPLE
from wedsync.api.rest.query.problems import too_large
from wedsync.api.rest.query.scanner import FIELD_NAME, Scanner

_OPERATOR = "operator (eq, gt, ...)"
_NAMES = sorted(SIMPLE | QUANTIFIED | FULL_TEXT | {"in", "is", "isdistinct"}, key=len, reverse=True)
_LIST = re.compile(
    r'[ \t]*\((?:"(?:[^"\\]|\\.)*"(?=[,)])|[^,)]*)(?:,(?:"(?:[^"\\]|\\.)*"(?=[,)])|[^,)]*))*\)', re.DOTALL
)
_QUOTED_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"(?=[,)]|$)', re.DOTALL)
_ARRAY = re.compile(r"\{[^{}]*\}")
_PLAIN = re.compile(r"[^,)]*")
ReadValue = Callable[[Scanner, str], Value]
"""Reads the value of a filter; it is told the operator."""


def operation(scanner: Scanner, column: Field, value: ReadValue) -> Filter:
    """`not.eq(any).value`, whose value is read by `value`, which is told the operator."""
    negated = scanner.take("not.")
    start = scanner.at
    operator = scanner.take_one_of(*_NAMES)
    if operator is None:
        raise scanner.failed(_OPERATOR if negated else f'"not" or {_OPERATOR}')
    quantifier = language = None
    if operator in QUANTIFIED and scanner.take("("):
        quantifier = scanner.take_one_of("any", "all")
        if quantifier is None:
            raise scanner.failed('"any" or "all"')
        scanner.need(")")
    elif operator in FULL_TEXT and scanner.take("("):
        language = scanner.need_word()
        scanner.need(")")
    if not scanner.take("."):
        scanner.at = start if operator not in QUANTIFIED | FULL_TEXT else scanner.at
        raise scanner.failed(_OPERATOR)
    return Filter(
        field=column,
        operator=operator,
        value=_is_operand(scanner) if operator == "is" else value(scanner, operator),
        negated=negated,
        quantifier=Quantifier(quantifier) if quantifier else None,
        language=language,
    )


def logic(scanner: Scanner, limits: QueryLimits, value: ReadValue, depth: int = 0) -> Filter | Logic:
    """`and(a.eq.1,or(…),not.and(…))`, or a filter `a.not.eq.1`, whose value is read by `value`."""
    if depth > limits.depth:
        raise too_large("The filters are nested too deeply", f"Up to {limits.depth} levels are accepted.")
    scanner.skip_blanks()
    start = scanner.at
    negated = scanner.take("not.")
    operator = scanner.take_one_of("and", "or")
    if operator is not None:
        scanner.skip_blanks()
        if scanner.take("("):
            return Logic(operator=operator, parts=_parts(scanner, limits, value, depth), negated=negated)
    scanner.at = start
    if scanner.sees(")", ",") or scanner.done:
        raise scanner.failed(f"{FIELD_NAME}, negation operator (not) or logic operator (and, or)")
    column = field(scanner)
    if not scanner.take("."):
        raise scanner.failed('"(" or delimiter (.)')
    found = operation(scanner, column, value)
    scanner.skip_blanks()
    return found


def _parts(scanner: Scanner, limits: QueryLimits, value: ReadValue, depth: int) -> tuple[Filter | Logic, ...]:
    parts = [logic(scanner, limits, value, depth + 1)]
    while scanner.take(","):
        parts.append(logic(scanner, limits, value, depth + 1))
    if not scanner.take(")"):
        raise scanner.failed('"," or ")"')
    scanner.skip_blanks()
    return tuple(parts)


def _is_operand(scanner: Scanner) -> str:
    for operand in sorted(IS_OPERANDS, key=len, reverse=True):
        if scanner.text[scanner.at :].lower().startswith(operand):
            scanner.at += len(operand)
            return operand
    raise scanner.failed("isVal: (null, not_null, true, false, unknown)")


def value_in_tree(scanner: Scanner, operator: str) -> str:
    """A value that ends at a comma or parenthesis, unless it is quoted; a list with its parentheses."""
    if operator == "in":
        found = scanner.match(_LIST)
        if not found:
            raise scanner.failed('"("')
        scanner.skip_blanks()
        return found[0].strip(" \t")
    quoted = scanner.match(_QUOTED_VALUE)
    if quoted:
        return re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)
    found = scanner.match(_ARRAY) or scanner.match(_PLAIN)
    return found[0] if found else ""
