"""Order, apply and verify changes of the schema."""

from wedsync.migrations.files import (
    SHIPPED,
    MigrationFile,
    MigrationFiles,
    Problem,
    ProblemKind,
    order_files,
    read_files,
)
from wedsync.migrations.ledger import Applied, Status, compare
from wedsync.migrations.runner import MigrationApplied, MigrationRun, status, up
from wedsync.migrations.template import NewMigration, new_migration

__all__ = [
    "SHIPPED",
    "Applied",
    "MigrationApplied",
    "MigrationFile",
    "MigrationFiles",
    "MigrationRun",
    "NewMigration",
    "Problem",
    "ProblemKind",
    "Status",
    "compare",
    "new_migration",
    "order_files",
    "read_files",
    "status",
    "up",
]
