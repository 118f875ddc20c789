"""Exceptions: `-- lint: allow RULE because REASON` on the lines before a statement."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pglast.parser import scan

from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.files.statements import Statement
from wedsync.migrations.lint.model import Level, Rule

_LINT = re.compile(r"--\s*lint\s*:(?P<rest>.*)", re.DOTALL)
_ALLOW = re.compile(r"\s*allow\s+(?P<rule>[a-z][a-z0-9-]*)(?:\s+because\b\s*(?P<reason>.*))?", re.DOTALL)
_SQUAWK_IGNORE = re.compile(r"(--|/\*)\s*squawk-ignore")

BAD_ALLOW = Rule(
    name="bad-allow",
    level=Level.ERROR,
    about="An exception names a rule, and says why it is right here: whoever reads the file next has only that.",
    hint="-- lint: allow ban-drop-table because nothing has read it since 0012",
)
UNUSED_ALLOW = Rule(
    name="unused-allow",
    level=Level.WARNING,
    about="An exception that nothing needs hides what somebody changes there later.",
    hint="take it out",
)
ALLOW_RULES = (BAD_ALLOW, UNUSED_ALLOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A rule that may be broken by one statement."""

    rule: str
    reason: str
    line: int
    statement: Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class BadAllowance:
    """A comment that means to allow something and does not."""

    line: int
    message: str


def read_allowances(file: MigrationFile, rules: Collection[str]) -> tuple[Allowance | BadAllowance, ...]:
    """The exceptions that a file's comments make, and those that are none."""
    if "lint" not in file.text and "squawk-ignore" not in file.text:
        return ()  # the usual case, without another pass over the text
    return tuple(_read(file.text, file.statements, rules))


def _read(
    text: str, statements: Sequence[Statement], rules: Collection[str]
) -> Iterator[Allowance | BadAllowance]:
    for token in scan(text):
        if token.name not in {"SQL_COMMENT", "C_COMMENT"}:
            continue
        comment, line = text[token.start : token.end + 1].strip(), text.count("\n", 0, token.start) + 1
        if _SQUAWK_IGNORE.match(comment):
            yield BadAllowance(line=line, message="squawk-ignore gives no reason")
            continue
        match = _LINT.fullmatch(comment)
        if match is None:
            continue
        allow = _ALLOW.fullmatch(match["rest"])
        if allow is None:
            yield BadAllowance(line=line, message=f"cannot be read: {comment}")
        elif allow["rule"] not in rules:
            yield BadAllowance(line=line, message=f"there is no rule {allow['rule']}")
        elif not (allow["reason"] or "").strip():
            yield BadAllowance(line=line, message=f"no reason why {allow['rule']} is allowed")
        else:
            following = next((one for one in statements if one.end > token.start), None)
            if following is None or following.start < token.start:
                yield BadAllowance(line=line, message="stands inside or after a statement, not before one")
            else:
                reason = allow["reason"].strip()
                yield Allowance(rule=allow["rule"], reason=reason, line=line, statement=following)
