"""The comments at the head of a file: options of the migration, and where its first statement begins.

This reads comments only, so that status and a run with nothing to do need no parser.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import TypeAlias

MIGRATION_ID = re.compile(r"\d{4}_[a-z][a-z0-9_]*")
"""How a migration is called: `0003_guests`."""

# PostgreSQL's white space (scan.l), which is less than Python's; an empty statement says nothing either.
_BLANK = re.compile(r"[ \t\n\r\f\v;]+")
_LINE_COMMENT = re.compile(r"--([^\n\r]*)")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_OPTION = re.compile(r"\s*(?P<name>[A-Za-z][A-Za-z_-]*)\s*:(?P<value>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a file says of itself."""

    depends: tuple[str, ...] = ()
    """Migrations that run before it, whatever their numbers."""
    transaction: bool = True
    """Whether its statements run in one transaction; if not, each commits by itself."""


NO_OPTIONS = Options()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderProblem:
    """An option that is unknown, malformed, repeated or misplaced."""

    line: int
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Everything before the first statement."""

    options: Options
    problems: tuple[HeaderProblem, ...]
    end: int
    """Characters before the first statement; all of them where there is none."""


class _MalformedError(Exception):
    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def read_header(text: str) -> Header:
    """The options among the comments before the first statement, and what is wrong with them."""
    options = NO_OPTIONS
    problems: list[HeaderProblem] = []
    seen: set[str] = set()
    position = 0
    in_prose = False
    while True:
        if match := _BLANK.match(text, position):
            in_prose = in_prose and match[0].count("\n") <= 1
            position = match.end()
        elif match := _LINE_COMMENT.match(text, position):
            try:
                read = _with_option(options, match[1], seen, in_prose=in_prose)
                in_prose = read is None
                options = read or options
            except _MalformedError as error:
                line = text.count("\n", 0, position) + 1
                problems.append(HeaderProblem(line=line, message=error.message, hint=error.hint))
            position = match.end()
        elif text.startswith("/*", position) and (end := _end_of_block(text, position)) is not None:
            position = end
        else:
            return Header(options=options, problems=tuple(problems), end=position)


def option_in(comment: str) -> str | None:
    """The name of the option that a line comment (with or without its dashes) sets; `None` if it is prose."""
    match = _OPTION.fullmatch(comment.removeprefix("--"))
    if match is None:
        return None
    name = match["name"].lower()
    return name if name in _READERS else None


def _with_option(options: Options, comment: str, seen: set[str], *, in_prose: bool) -> Options | None:
    """The options with what this comment adds; `None` if it is prose.

    `in_prose` tells that the line above is prose, which may go on here with any word and a colon.
    """
    match = _OPTION.fullmatch(comment)
    if match is None:
        return None
    name, value = match["name"].lower(), match["value"].strip()
    if name == "lint":  # read by lint, before any statement
        return options
    if name not in _READERS:
        near = get_close_matches(name, _READERS, n=1, cutoff=0.8)
        if not near and (in_prose or match["name"] != name):
            return None
        meant = f"did you mean {near[0]}? " if near else ""
        raise _MalformedError(
            f"unknown option {match['name']!r}",
            f"{meant}the options are {', '.join(sorted(_READERS))}; prose begins with a capital letter",
        )
    if name in seen:
        raise _MalformedError(f"option {name!r} for the second time", "write it once")
    seen.add(name)
    return _READERS[name](options, value)


def _read_depends(options: Options, value: str) -> Options:
    names = [name.strip() for name in value.split(",")]
    for name in names:
        if MIGRATION_ID.fullmatch(name) is None:
            raise _MalformedError(
                f"depends names {name!r}, which is not a migration" if name else "depends has an empty name",
                "name migrations by number and name: -- depends: 0003_guests, 0004_wedding_day",
            )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise _MalformedError(f"depends names {twice} twice", "once is enough")
    return replace(options, depends=tuple(names))


def _read_transaction(options: Options, value: str) -> Options:
    if value != "none":
        raise _MalformedError(
            f"transaction is {value!r}; the only value is none",
            "leave the line out (one transaction for the file), or write -- transaction: none",
        )
    return replace(options, transaction=False)


_Reader: TypeAlias = Callable[[Options, str], Options]
_READERS: MappingProxyType[str, _Reader] = MappingProxyType(
    {"depends": _read_depends, "transaction": _read_transaction}
)


def _end_of_block(text: str, position: int) -> int | None:
    """Where a block comment ends; they nest. `None` if it never does."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, position):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return None
