"""The statements inside a body of PL/pgSQL, as far as PostgreSQL's parser tells them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
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


def body_statements(definition: str) -> tuple[BodyStatement, ...]:
    """What a DO block, function or procedure does, nested statements too, in order.

    Nothing for other languages, and for a body that the parser cannot read: the server knows types and
    names that the parser does not, and it judges when the body is run.
    """
    try:
        tree: _Tree = json.loads(parse_plpgsql_json(definition))
    except ParseError:
        return ()
    return tuple(_statements(tree))


def _statements(tree: _Tree) -> Iterator[BodyStatement]:
    match tree:
        case dict():
            for name, inside in tree.items():
                if name.startswith("PLpgSQL_stmt_") and isinstance(inside, dict):
                    line = inside.get("lineno", 1)
                    yield BodyStatement(
                        kind=name.removeprefix("PLpgSQL_stmt_"),
                        line=line if isinstance(line, int) else 1,
                        sql=_sql(inside.get("sqlstmt") or inside.get("query") or inside.get("expr")),
                    )
                yield from _statements(inside)
        case list():
            for inside in tree:
                yield from _statements(inside)
        case _:
            pass


def _sql(expression: _Tree) -> str | None:
    if isinstance(expression, dict) and isinstance(inside := expression.get("PLpgSQL_expr"), dict):
        query = inside.get("query")
        return query if isinstance(query, str) else None
    return None
