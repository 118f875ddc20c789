"""What a rule is, and what it finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from wedsync.migrations.lint.script import Script, Seen


class Level(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """It loses data, opens data to others, or stops those who work: it must be mended, or allowed with a
    reason."""
    WARNING = "warning"
    """Worth a second look; it stops nothing."""


class Source(StrEnum):
    """Who judges."""

    WEDSYNC = "wedsync"
    SQUAWK = "squawk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One place where a rule fires."""

    seen: Seen
    message: str
    hint: str | None = None
    """What to write here, where it is more exact than the rule's own hint."""
    line: int | None = None
    """Where it is more exact than the statement's."""


Check: TypeAlias = Callable[[Script], Iterator[Hit]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing that a migration should not do."""

    name: str
    level: Level
    about: str
    """A paragraph for the reference: what happens, and why it matters."""
    hint: str
    """What to do instead."""
    source: Source = Source.WEDSYNC
    check: Check | None = None
    """`None` where another program judges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What lint says of one line."""

    rule: str
    level: Level
    source: Source
    file_name: str
    line: int
    message: str
    hint: str

    def to_json(self) -> dict[str, object]:
        return {
            "rule": self.rule,
            "level": self.level.value,
            "source": self.source.value,
            "file": self.file_name,
            "line": self.line,
            "message": self.message,
            "hint": self.hint,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """A finding that somebody allowed, and why."""

    finding: Finding
    reason: str

    def to_json(self) -> dict[str, object]:
        return {**self.finding.to_json(), "reason": self.reason}


def rule(name: str, level: Level, *, hint: str) -> Callable[[Check], Rule]:
    """Make a function a rule; its docstring is what the reference says about it."""

    def wrap(check: Check) -> Rule:
        return Rule(name=name, level=level, hint=hint, about=" ".join((check.__doc__ or "").split()), check=check)

    return wrap
