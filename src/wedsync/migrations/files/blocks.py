"""The SQL inside DO blocks: what is written there, and what a loop over names makes of a template.

A block is a program, and this is no interpreter. It reads statements that stand there, `EXECUTE` of a
constant, and `EXECUTE format(…)` of a constant with nothing but variables of `FOREACH … IN ARRAY` loops over
constants. Everything else is told as unseen; the checks over the catalogue of the shadow database see it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from pglast import ast
from pglast.parser import ParseError, parse_sql

from wedsync.migrations.files.plpgsql import BodyStatement, body_statements

_PLACE = re.compile(r"%(?:(?P<number>\d+)\$)?(?P<kind>[IsL%])")
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStatement:
    """What one line of a block runs."""

    line: int
    """In the block, from 1."""
    nodes: tuple[ast.Node, ...]
    """The statements; none where they cannot be known."""


def read_block(text: str) -> tuple[BlockStatement, ...]:
    """What a DO block runs, in order."""
    found: list[BlockStatement] = []
    for body in body_statements(text):
        match body.kind:
            case "execsql" | "perform" if body.sql is not None:
                found.append(BlockStatement(line=body.line, nodes=_parsed(body.sql)))
            case "dynexecute":
                nodes = tuple(node for sql in _executed(body) for node in _parsed(sql))
                found.append(BlockStatement(line=body.line, nodes=nodes))
            case _:
                pass
    return tuple(found)


def _parsed(sql: str) -> tuple[ast.Node, ...]:
    try:
        return tuple(raw.stmt for raw in parse_sql(sql) if raw.stmt is not None)
    except ParseError:  # a piece of PL/pgSQL that is no SQL by itself
        return ()


def _executed(body: BodyStatement) -> tuple[str, ...]:
    """The texts that an EXECUTE runs, one for each turn of the loops around it; none if they cannot be known."""
    match _expression(body.sql or ""):
        case ast.A_Const(val=ast.String(sval=str() as text)):
            return (text,)
        case ast.FuncCall(
            funcname=(ast.String(sval="format"),), args=(ast.A_Const(val=ast.String(sval=str() as text)), *args)
        ):
            return tuple(_filled(text, args, body.loops))
        case _:
            return ()


def _filled(template: str, args: list[object], loops: Mapping[str, str]) -> Iterator[str]:
    names = [_variable(arg) for arg in args]
    values = [_constants(loops[name]) if name in loops else () for name in names]
    used = list(dict.fromkeys(zip(names, values, strict=True)))
    for turn in product(*(value for _, value in used)):
        at = {name: value for (name, _), value in zip(used, turn, strict=True)}
        yield _fill(template, [at[name] for name in names])


def _fill(template: str, values: list[str]) -> str:
    following = iter(values)

    def replace(place: re.Match[str]) -> str:
        if place["kind"] == "%":
            return "%"
        value = values[int(place["number"]) - 1] if place["number"] else next(following)
        match place["kind"]:
            case "I":
                return value if _PLAIN_NAME.fullmatch(value) else '"' + value.replace('"', '""') + '"'
            case "L":
                return "'" + value.replace("'", "''") + "'"
            case _:
                return value

    return _PLACE.sub(replace, template)


def _variable(arg: object) -> str:
    match arg:
        case ast.ColumnRef(fields=(ast.String(sval=str() as name),)):
            return name
        case _:
            return ""


def _constants(array: str) -> tuple[str, ...]:
    """The strings of `array['a', 'b']`; none if it is anything else."""
    match _expression(array):
        case ast.A_ArrayExpr(elements=tuple() as elements):
            found = [
                element.val.sval
                for element in elements
                if isinstance(element, ast.A_Const) and isinstance(element.val, ast.String)
            ]
            return tuple(str(value) for value in found) if len(found) == len(elements) else ()
        case _:
            return ()


def _expression(sql: str) -> ast.Node | None:
    match _parsed(f"select {sql}"):
        case (ast.SelectStmt(targetList=(ast.ResTarget(val=ast.Node() as value),)),):
            return value
        case _:
            return None
