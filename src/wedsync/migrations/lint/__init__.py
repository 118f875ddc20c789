"""Judge migrations before they run: our rules over the syntax tree, and squawk's."""

from wedsync.migrations.lint.catalogue import (
    MEANT,
    CatalogueFinding,
    CatalogueReport,
    lint_catalogue,
    read_findings,
)
from wedsync.migrations.lint.catalogue import RULES as CATALOGUE_RULES
from wedsync.migrations.lint.check import LintReport, lint, migrations_among
from wedsync.migrations.lint.model import Allowed, Finding, Level, Rule, Source
from wedsync.migrations.lint.rules import RULES
from wedsync.migrations.lint.squawk import NOT_FOLLOWED

__all__ = [
    "CATALOGUE_RULES",
    "MEANT",
    "NOT_FOLLOWED",
    "RULES",
    "Allowed",
    "CatalogueFinding",
    "CatalogueReport",
    "Finding",
    "Level",
    "LintReport",
    "Rule",
    "Source",
    "lint",
    "lint_catalogue",
    "migrations_among",
    "read_findings",
]
