"""What the parser finds wrong with a file: syntax, and statements that a migration cannot run."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pglast import ast
from pglast.parser import ParseError, scan, split

from wedsync.errors import SqlUnreadable
from wedsync.migrations.files.header import Options, option_in, read_header
from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.files.plpgsql import body_statements
from wedsync.migrations.files.problems import Problem, ProblemKind
from wedsync.migrations.files.statements import Statement

_COPY_FROM_STDIN = re.compile(r"\bcopy\b[^;]*\bfrom\s+stdin\b[^;]*;[^;]*\Z", re.IGNORECASE)
_WORTH_A_TREE = re.compile(
    r"\b(abort|begin|call|cluster|commit|concurrently|copy|database|discard|do|end|prepare|reindex|release|rollback"
    r"|savepoint|start|subscription|system|tablespace|vacuum|value)\b",
    re.IGNORECASE,
)
"""Words of which a statement that is refused here has at least one. A text without any need only be readable:
building a tree takes Python seven times as long."""
_LINE_COMMENT = re.compile(r"--[^\n]*")
_COPY_HINT = "a file has no data beside its SQL: write INSERT … VALUES, or load the rows with the application"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    line: int
    message: str
    hint: str
    kind: ProblemKind = ProblemKind.CANNOT_RUN


def problems_inside(file: MigrationFile) -> tuple[Problem, ...]:
    """Every problem of a file and of its rollback, in order of their lines."""
    found = [(file.file_name, one) for one in _problems(lambda: file.statements, file.text, file.options)]
    if file.rollback is not None:
        undoing = _problems(lambda: file.rollback_statements, file.rollback, file.rollback_options)
        found += [(file.rollback_file_name, one) for one in undoing]
    return tuple(
        Problem(kind=one.kind, id=file.id, message=f"{name}:{one.line}: {one.message}", hint=one.hint)
        for name, one in found
    )


def _problems(parse: Callable[[], tuple[Statement, ...]], text: str, options: Options) -> list[_Found]:
    if _WORTH_A_TREE.search(text) is None and _is_readable(text):
        return sorted(_misplaced_options(text), key=lambda problem: problem.line)
    try:
        statements = parse()
    except SqlUnreadable as error:
        return [_syntax(text, error)]
    found = [
        *_misplaced_options(text),
        *(problem for statement in statements for problem in _of_statement(statement, options)),
        *_commits_in_called_procedures(statements),
        *(_enum_values_used_too_soon(statements) if options.transaction else ()),
    ]
    return sorted(found, key=lambda problem: problem.line)


def _is_readable(text: str) -> bool:
    try:
        split(text, only_slices=True)
    except ParseError:
        return False
    return True


def _syntax(text: str, error: SqlUnreadable) -> _Found:
    before = text[: error.place]
    if text.startswith("\\", error.place):
        return _Found(
            line=error.line,
            message=f"a command of psql is not SQL: {error.text}",
            hint="write the SQL itself: nothing is included, connected or copied by the client",
        )
    if (copy := _COPY_FROM_STDIN.search(before)) is not None:
        return _Found(
            line=before.count("\n", 0, copy.start()) + 1,
            message="COPY … FROM stdin",
            hint=_COPY_HINT,
        )
    return _Found(
        line=error.line,
        message=f"{error.problem} (column {error.column})",
        hint=f"mend it: {error.text}" if error.text else "mend it",
        kind=ProblemKind.SYNTAX,
    )


def _of_statement(statement: Statement, options: Options) -> Iterator[_Found]:
    if statement.needs_own_transaction and options.transaction:
        yield _Found(
            line=statement.line,
            message=f"PostgreSQL does not run this inside a transaction: {statement.first_line}",
            hint="move it to a migration of its own whose head says -- transaction: none",
        )
    match statement.node:
        case ast.TransactionStmt():
            yield _Found(
                line=statement.line,
                message="a migration does not begin or end transactions itself",
                hint=f"take it out: {statement.first_line}",
            )
        case ast.CopyStmt(filename=None, is_program=False):
            stream = "FROM stdin" if statement.node.is_from else "TO stdout"
            yield _Found(line=statement.line, message=f"COPY … {stream}", hint=_COPY_HINT)
        case ast.DoStmt() if options.transaction and (line := _commit_line(statement.text)) is not None:
            yield _Found(
                line=statement.line + line - 1,
                message="COMMIT or ROLLBACK in a DO block that runs inside the file's transaction",
                hint="take it out, or move the block to a migration whose head says -- transaction: none",
            )
        case _:
            pass


def _commits_in_called_procedures(statements: Sequence[Statement]) -> Iterator[_Found]:
    """A procedure that commits may be made; it may not be called from the file that is one transaction."""
    committing = {
        _name(statement.node.funcname): statement
        for statement in statements
        if isinstance(statement.node, ast.CreateFunctionStmt)
        and statement.node.is_procedure
        and _commit_line(statement.text) is not None
    }
    for statement in statements:
        if isinstance(statement.node, ast.CallStmt) and isinstance(statement.node.funccall, ast.FuncCall):
            made = committing.get(_name(statement.node.funccall.funcname))
            if made is not None:
                yield _Found(
                    line=statement.line,
                    message=f"calls a procedure that commits (line {made.line})",
                    hint="call it from the application, or after the migration",
                )


def _enum_values_used_too_soon(statements: Sequence[Statement]) -> Iterator[_Found]:
    """`ALTER TYPE … ADD VALUE` may run in a transaction, but using the value in the same one fails (55P04)."""
    made_here = {
        _name(statement.node.typeName)
        for statement in statements
        if isinstance(statement.node, ast.CreateEnumStmt)
    }
    added: dict[str, int] = {}
    for statement in statements:
        for value, line in added.items():
            if f"'{value}'" in statement.text:
                yield _Found(
                    line=statement.line,
                    message=f"uses '{value}', which line {line} adds to an enum in the same transaction",
                    hint="use it in the next migration: PostgreSQL refuses the value until it is committed",
                )
        if (
            isinstance(statement.node, ast.AlterEnumStmt)
            and statement.node.newVal is not None
            and statement.node.oldVal is None
            and _name(statement.node.typeName) not in made_here
        ):
            added[statement.node.newVal] = statement.line


def _misplaced_options(text: str) -> Iterator[_Found]:
    head = read_header(text).end
    if not any(option_in(comment[0]) for comment in _LINE_COMMENT.finditer(text, head)):
        return  # the usual case, without another pass over the text
    for token in scan(text):
        comment = text[token.start : token.end + 1].strip()
        if token.name == "SQL_COMMENT" and token.start >= head and (name := option_in(comment)) is not None:
            yield _Found(
                line=text.count("\n", 0, token.start) + 1,
                message=f"option {name!r} after the first statement",
                hint="options stand at the head of the file",
                kind=ProblemKind.BAD_OPTION,
            )


def _commit_line(definition: str) -> int | None:
    """The line, from 1, of the first COMMIT or ROLLBACK in a body of PL/pgSQL; `None` if there is none."""
    ending = (found.line for found in body_statements(definition) if found.kind in {"commit", "rollback"})
    return next(ending, None)


def _name(parts: tuple[Any, ...] | None) -> str:
    """A qualified name without its schema: enough to tell objects of one file apart."""
    return str(parts[-1].sval) if parts else ""
