"""One statement of a file, and the one that an error of the server belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pglast import ast  # not at run time: status, and a run with nothing to do, parse nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a file."""

    text: str
    """Without the comments before it and without the semicolon."""
    line: int
    """Its first line in the file, from 1."""
    start: int
    """Characters of the file before it."""
    end: int
    """Characters of the file up to its end."""
    needs_own_transaction: bool
    """Whether PostgreSQL refuses to run it inside a transaction."""
    node: ast.Node = field(repr=False, compare=False)
    """Its syntax tree; the places in it are characters of the file."""

    @property
    def first_line(self) -> str:
        """Its first line, cut to what fits a terminal."""
        line = self.text.partition("\n")[0].rstrip()
        return line if len(line) <= 100 else line[:99] + "…"


def statement_at(
    statements: Sequence[Statement], *, position: int | None, finished: int
) -> tuple[Statement | None, int | None]:
    """The statement that failed and the line of the failure.

    `position` is PostgreSQL's: characters from 1, or `None` where it knows none; then it is the one after
    the `finished` statements, and its first line.
    """
    if position is not None:
        for statement in statements:
            if statement.start < position <= statement.end + 1:
                return statement, statement.line + statement.text.count("\n", 0, position - statement.start - 1)
    if finished < len(statements):
        return statements[finished], statements[finished].line
    return None, None
