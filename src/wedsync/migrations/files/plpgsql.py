"""The statements inside a body of PL/pgSQL, as far as PostgreSQL's parser tells them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from pglast.parser import ParseError, parse_plpgsql_json

_Tree: TypeAlias = "dict[str, _Tree] | list[_Tree] | str | float | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyStatement:
    """One statement of a body."""

    kind: str
    """As in PostgreSQL's source without its prefix: `commit`, `execsql`, `perform`, `dynexecute`, …"""
    line: int
    """In the text of the whole statement, from 1."""
    sql: str | None
    """What it runs: a statement (`execsql`), or the expression that gives it (`dynexecute`)."""
    loops: Mapping[str, str]
    """The variables of the FOREACH loops around it, each with the expression of the array it runs through."""


def body_statements(definition: str) -> tuple[BodyStatement, ...]:
    """What a DO block, function or procedure does, nested statements too, in order.

    Nothing for other languages, and for a body that the parser cannot read: the server knows types and
    names that the parser does not, and it judges when the body is run.
    """
    try:
        tree: _Tree = json.loads(parse_plpgsql_json(definition))
    except ParseError:
        return ()
    found: list[BodyStatement] = []
    for function in tree if isinstance(tree, list) else ():
        inside = _object(function, "PLpgSQL_function")
        found += _statements(inside.get("action"), _variables(inside.get("datums")), MappingProxyType({}))
    return tuple(found)


def _statements(tree: _Tree, variables: list[str], loops: Mapping[str, str]) -> Iterator[BodyStatement]:
    match tree:
        case dict():
            for name, inside in tree.items():
                around = loops
                if name.startswith("PLpgSQL_stmt_") and isinstance(inside, dict):
                    line = inside.get("lineno", 1)
                    sql = _sql(inside.get("sqlstmt") or inside.get("query") or inside.get("expr"))
                    yield BodyStatement(
                        kind=name.removeprefix("PLpgSQL_stmt_"),
                        line=line if isinstance(line, int) else 1,
                        sql=sql,
                        loops=loops,
                    )
                    number = inside.get("varno")
                    if name == "PLpgSQL_stmt_foreach_a" and isinstance(number, int) and sql is not None:
                        around = MappingProxyType({**loops, variables[number]: sql})
                yield from _statements(inside, variables, around)
        case list():
            for inside in tree:
                yield from _statements(inside, variables, loops)
        case _:
            pass


def _variables(datums: _Tree) -> list[str]:
    """Names by the numbers that statements call them by; empty for what is no plain variable."""
    found: list[str] = []
    for datum in datums if isinstance(datums, list) else ():
        name = _object(datum, "PLpgSQL_var").get("refname")
        found.append(name if isinstance(name, str) else "")
    return found


def _sql(expression: _Tree) -> str | None:
    query = _object(expression, "PLpgSQL_expr").get("query")
    return query if isinstance(query, str) else None


def _object(tree: _Tree, key: str) -> dict[str, _Tree]:
    inside = tree.get(key) if isinstance(tree, dict) else None
    return inside if isinstance(inside, dict) else {}
