"""A file's statements, as PostgreSQL's own parser sees them.

pglast carries the parser of PostgreSQL 18. Its import takes 80 ms: `MigrationFile.statements` imports this
module when a file is parsed, nothing earlier does. What is newer than the server passes here and fails there.
"""

from pglast.parser import ParseError, parse_sql

from wedsync.errors import SqlUnreadable
from wedsync.migrations.files.own_transaction import needs_own_transaction
from wedsync.migrations.files.statements import Statement


def parse_statements(text: str) -> tuple[Statement, ...]:
    """The statements of a file, in order; raises `SqlUnreadable` with the place of the first mistake."""
    try:
        parsed = parse_sql(text)
    except ParseError as error:
        raise _unreadable(text, str(error.args[0])) from error
    found: list[Statement] = []
    line, counted = 1, 0
    for raw in parsed:
        start: int = raw.stmt_location or 0
        written = text[start : start + raw.stmt_len if raw.stmt_len else None].rstrip()
        line += text.count("\n", counted, start)
        counted = start
        if raw.stmt is None:
            raise TypeError(f"a statement without a tree at line {line}")
        found.append(
            Statement(
                text=written,
                line=line,
                start=start,
                end=start + len(written),
                needs_own_transaction=needs_own_transaction(raw.stmt),
                node=raw.stmt,
            )
        )
    return tuple(found)


def _unreadable(text: str, message: str) -> SqlUnreadable:
    place = _place_of_mistake(text)
    line_start = text.rfind("\n", 0, place) + 1
    return SqlUnreadable(
        message,
        place=place,
        line=text.count("\n", 0, place) + 1,
        column=place - line_start + 1,
        text=text[line_start:].partition("\n")[0].strip(),
    )


def _place_of_mistake(text: str) -> int:
    """Characters before a syntax error.

    The parser counts characters and pglast takes them for bytes, which is right where they are the same: a
    letter in place of everything beyond ASCII changes no token's kind and no place.
    """
    try:
        parse_sql("".join(character if character.isascii() else "z" for character in text))
    except ParseError as error:
        place = error.args[1] if len(error.args) > 1 else None
        if isinstance(place, int) and 0 <= place <= len(text):
            return place
    return 0
