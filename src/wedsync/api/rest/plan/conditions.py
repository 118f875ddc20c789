"""Filters and trees of them as SQL conditions."""

from collections.abc import Callable

from wedsync.api.rest.plan.columns import expression, is_searched_as_text
from wedsync.api.rest.plan.node import Child, Node, Reading
from wedsync.api.rest.plan.sql import NOTHING, Sql, compose, constant, joined
from wedsync.api.rest.plan.values import array_of_list, pattern, value_parameter
from wedsync.api.rest.query import Field, Filter, Logic, Quantifier
from wedsync.api.rest.query.operators import FULL_TEXT

_OPERATORS = {
    "eq": compose("="),
    "neq": compose("<>"),
    "gt": compose(">"),
    "gte": compose(">="),
    "lt": compose("<"),
    "lte": compose("<="),
    "like": compose("like"),
    "ilike": compose("ilike"),
    "match": compose("~"),
    "imatch": compose("~*"),
    "cs": compose("@>"),
    "cd": compose("<@"),
    "ov": compose("&&"),
    "sl": compose("<<"),
    "sr": compose(">>"),
    "nxr": compose("&<"),
    "nxl": compose("&>"),
    "adj": compose("-|-"),
    "isdistinct": compose("is distinct from"),
}
_IS = {
    "null": compose("is null"),
    "not_null": compose("is not null"),
    "true": compose("is true"),
    "false": compose("is false"),
    "unknown": compose("is unknown"),
}
_QUERIES = {
    "fts": compose("to_tsquery"),
    "plfts": compose("plainto_tsquery"),
    "phfts": compose("phraseto_tsquery"),
    "wfts": compose("websearch_to_tsquery"),
}
_PATTERNS = frozenset({"like", "ilike"})
Exists = Callable[[Child], Sql]
"""That an embedded relation has a row."""


def condition(tree: Filter | Logic, node: Node, reading: Reading, exists: Exists) -> Sql:
    """The condition; `exists` makes the one that an embedded relation is there (`relation=not.is.null`)."""
    if isinstance(tree, Filter):
        return _filter(tree, node, reading, exists)
    parts = [condition(part, node, reading, exists) for part in tree.parts]
    inside = joined(" or ", parts) if tree.operator == "or" else joined(" and ", parts)
    return compose("not ({})" if tree.negated else "({})", inside)


def _filter(one: Filter, node: Node, reading: Reading, exists: Exists) -> Sql:
    child = _child_named(one.field, node)
    if child is not None and one.operator == "is" and one.value in ("null", "not_null"):
        there = one.negated == (one.value == "null")
        return exists(child) if there else compose("not {}", exists(child))
    field = expression(one.field, node, reading)
    if one.operator in FULL_TEXT:
        test = _full_text(one, field, is_searched_as_text(one.field, node, reading))
    elif one.operator == "in":
        test = compose("{} = any({})", field, value_parameter(one.value, array_of_list))
    elif one.operator == "is":
        test = compose("{} {}", field, _IS[str(one.value)])
    else:
        value = value_parameter(one.value, pattern if one.operator in _PATTERNS else None)
        test = compose("{} {} {}", field, _OPERATORS[one.operator], _quantified(one.quantifier, value))
    return compose("not {}", test) if one.negated else test


def _quantified(quantifier: Quantifier | None, value: Sql) -> Sql:
    if quantifier is None:
        return value
    return compose("any({})" if quantifier is Quantifier.ANY else "all({})", value)


def _full_text(one: Filter, field: Sql, as_text: bool) -> Sql:
    language = compose("{}, ", constant(one.language)) if one.language else NOTHING
    if as_text:
        field = compose("to_tsvector({}{})", language, field)
    return compose("{} @@ {}({}{})", field, _QUERIES[one.operator], language, value_parameter(one.value))


def _child_named(field: Field, node: Node) -> Child | None:
    if field.path:
        return None
    return next((child for child in node.children if child.key == field.name), None)
