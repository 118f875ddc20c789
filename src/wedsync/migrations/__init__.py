"""Order, apply and verify changes of the schema."""

from wedsync.migrations.files import SHIPPED, content_problems, order_files, read_files
from wedsync.migrations.header import Options
from wedsync.migrations.ledger import Applied, Status, compare
from wedsync.migrations.migration import MigrationFile, MigrationFiles
from wedsync.migrations.problems import Problem, ProblemKind
from wedsync.migrations.runner import MigrationApplied, MigrationRun, status, up
from wedsync.migrations.statements import Statement, statement_at
from wedsync.migrations.template import NewMigration, new_migration

__all__ = [
    "SHIPPED",
    "Applied",
    "MigrationApplied",
    "MigrationFile",
    "MigrationFiles",
    "MigrationRun",
    "NewMigration",
    "Options",
    "Problem",
    "ProblemKind",
    "Statement",
    "Status",
    "compare",
    "content_problems",
    "new_migration",
    "order_files",
    "read_files",
    "statement_at",
    "status",
    "up",
]
