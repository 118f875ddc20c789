"""Small questions about pieces of a syntax tree."""

from collections.abc import Iterator
from typing import Any

from pglast import ast, enums


def table_name(table: ast.RangeVar | None) -> str:
    """`schema.table`; a name without schema is in public, where the search path of a migration leads."""
    if table is None:
        return ""
    return f"{table.schemaname or 'public'}.{table.relname}"


def schema_of(name: str) -> str:
    """The schema of `schema.table`."""
    return name.partition(".")[0]


def words(parts: Any) -> tuple[str, ...]:
    """The names in a list of names; the tree does not say which of its lists are such."""
    return tuple(str(part.sval) for part in parts or () if isinstance(part, ast.String))


def qualified(parts: Any) -> str:
    """`schema.name` of an object; without schema it is in public."""
    names = words(parts)
    return ".".join(names) if len(names) > 1 else f"public.{names[0]}" if names else ""


def commands(node: ast.AlterTableStmt) -> Iterator[ast.AlterTableCmd]:
    """The parts of an ALTER TABLE."""
    for command in node.cmds or ():
        if isinstance(command, ast.AlterTableCmd):
            yield command


def has_command(node: ast.Node, *kinds: enums.AlterTableType) -> bool:
    """Whether this is an ALTER TABLE with a part of one of these kinds."""
    return isinstance(node, ast.AlterTableStmt) and any(command.subtype in kinds for command in commands(node))


def roles(specs: tuple[Any, ...] | None) -> frozenset[str]:
    """The roles that are named; `public` for everybody."""
    found: set[str] = set()
    for spec in specs or ():
        if isinstance(spec, ast.RoleSpec):
            everybody = spec.roletype == enums.RoleSpecType.ROLESPEC_PUBLIC
            found.add("public" if everybody else str(spec.rolename))
    return frozenset(found)


def walk(tree: ast.Node | tuple[Any, ...] | None) -> Iterator[ast.Node]:
    """A node and everything inside it."""
    if isinstance(tree, ast.Node):
        yield tree
        for name in tree:
            yield from walk(getattr(tree, name))
    elif isinstance(tree, tuple):
        for part in tree:
            yield from walk(part)


def is_true(node: object) -> bool:
    """Whether an expression is the constant true."""
    match node:
        case ast.A_Const(val=ast.Boolean(boolval=True)):
            return True
        case ast.TypeCast(arg=ast.A_Const(val=ast.String(sval="t" | "true"))):
            return True
        case _:
            return False
