"""Judge migrations before they run: our rules over the syntax tree, and squawk's."""

from wedsync.migrations.lint.check import LintReport, lint, migrations_among
from wedsync.migrations.lint.model import Allowed, Finding, Level, Rule, Source
from wedsync.migrations.lint.rules import RULES
from wedsync.migrations.lint.squawk import NOT_FOLLOWED

__all__ = [
    "NOT_FOLLOWED",
    "RULES",
    "Allowed",
    "Finding",
    "Level",
    "LintReport",
    "Rule",
    "Source",
    "lint",
    "migrations_among",
]
