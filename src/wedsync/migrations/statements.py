"""Where the statements of a file begin and end: to name the one that failed, and to refuse what cannot run.

PostgreSQL gets each file whole and splits it itself; nothing here decides what is executed.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

_TOKEN = re.compile(
    r"""
      (?P<space>\s+ | --[^\n]*)
    | (?P<comment>/\*)
    | (?P<text>[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*")
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_TRANSACTION_WORDS = frozenset(
    {"begin", "commit", "end", "rollback", "abort", "start transaction", "savepoint", "release"}
    | {"prepare transaction"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a file."""

    text: str
    """Without the comments before it and without the semicolon."""
    line: int
    """Its first line in the file, from 1."""
    start: int
    """Characters of the file before it."""
    words: tuple[str, ...]
    """Its bare words in lower case: no strings, no quoted names."""

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def split_statements(text: str) -> tuple[Statement, ...]:
    """The statements of a file, in order."""
    found: list[Statement] = []
    start: int | None = None
    words: list[str] = []
    depth = 0  # of parentheses and of BEGIN ATOMIC … END bodies: a semicolon inside ends no statement
    in_body = False
    for kind, piece, position in _tokens(text):
        if kind == "other" and piece == ";" and depth == 0:
            if start is not None:
                found.append(_statement(text, start, position, words))
            start, words, in_body = None, [], False
            continue
        if start is None:
            start = position
        if kind == "word":
            word = piece.lower()
            if word == "atomic" and words[-1:] == ["begin"]:
                in_body = True
                depth += 1
            elif in_body and word == "case":
                depth += 1
            elif in_body and word == "end":
                depth -= 1
            words.append(word)
        elif piece == "(":
            depth += 1
        elif piece == ")":
            depth = max(0, depth - 1)
    if start is not None:
        found.append(_statement(text, start, len(text), words))
    return tuple(found)


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


def what_cannot_run(statement: Statement) -> str | None:
    """Why a statement may not be in a migration; `None` if it may."""
    words = statement.words
    if statement.text.startswith("\\"):
        return "a command of psql is not SQL"
    if words[:1] and (words[0] in _TRANSACTION_WORDS or " ".join(words[:2]) in _TRANSACTION_WORDS):
        return "a migration runs in one transaction, which it may not begin or end itself"
    if words[:1] == ("copy",) and ("from", "stdin") in pairwise(words):
        return "COPY … FROM stdin has no data here; write INSERT"
    return None


def _statement(text: str, start: int, end: int, words: Sequence[str]) -> Statement:
    return Statement(
        text=text[start:end].rstrip(), line=text.count("\n", 0, start) + 1, start=start, words=tuple(words)
    )


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Kind, text and position of each token that is neither space nor comment."""
    position = 0
    while (match := _TOKEN.match(text, position)) is not None:
        kind, token, start = str(match.lastgroup), match.group(), position
        position = match.end()
        if kind == "comment":
            position = _end_of_comment(text, position)
        elif kind == "dollar":
            closing = text.find(token, position)
            position = len(text) if closing < 0 else closing + len(token)
            yield kind, text[start:position], start
        elif kind != "space":
            yield kind, token, start


def _end_of_comment(text: str, position: int) -> int:
    """Where a block comment ends; they nest, unlike in the SQL standard's first edition."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, position):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)
