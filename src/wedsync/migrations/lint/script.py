"""A migration as the rules see it: its statements, those inside DO blocks too, and what came before it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pglast import ast

from wedsync.migrations.files.blocks import read_block
from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.files.statements import Statement
from wedsync.migrations.lint.schema import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A statement that the file runs."""

    statement: Statement
    """The one it stands in: itself, or a DO block."""
    node: ast.Node
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One file."""

    file: MigrationFile
    seen: tuple[Seen, ...]
    hidden: tuple[Seen, ...]
    """Statements of DO blocks whose SQL is made when they run: no rule sees inside."""
    before: Schema
    """What the files that run before it have made."""
    after: Schema
    """The same with this file."""


def read_script(file: MigrationFile, before: Schema) -> Script:
    """Read a file that runs on top of the schema `before`; raises `SqlUnreadable`."""
    seen: list[Seen] = []
    hidden: list[Seen] = []
    for statement in file.statements:
        seen.append(Seen(statement=statement, node=statement.node, line=statement.line))
        if isinstance(statement.node, ast.DoStmt):
            for found in read_block(statement.text):
                line = statement.line + found.line - 1
                seen += [Seen(statement=statement, node=node, line=line) for node in found.nodes]
                if not found.nodes:
                    hidden.append(Seen(statement=statement, node=statement.node, line=line))
    return Script(
        file=file,
        seen=tuple(seen),
        hidden=tuple(hidden),
        before=before,
        after=before.changed_by([one.node for one in seen]),
    )


def read_scripts(files: Sequence[MigrationFile]) -> Iterator[Script]:
    """Each file on top of those before it; `files` in the order they run."""
    schema = Schema()
    for file in files:
        script = read_script(file, schema)
        yield script
        schema = script.after
