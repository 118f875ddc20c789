"""Order, apply and verify changes of the schema."""

from typing import TYPE_CHECKING

from wedsync.on_demand import names_on_demand

if TYPE_CHECKING:
    from wedsync.migrations.files.directory import SHIPPED, content_problems, order_files, read_files
    from wedsync.migrations.files.header import Options
    from wedsync.migrations.files.migration import MigrationFile, MigrationFiles
    from wedsync.migrations.files.problems import Problem, ProblemKind
    from wedsync.migrations.files.statements import Statement, statement_at
    from wedsync.migrations.files.template import NewMigration, new_migration
    from wedsync.migrations.ledger.history import Entry, EventKind, LedgerRow, applied_now
    from wedsync.migrations.ledger.status import Applied, Status, compare
    from wedsync.migrations.run.adhoc import TextRun, run_text
    from wedsync.migrations.run.blockers import Patience
    from wedsync.migrations.run.freeze import Freeze
    from wedsync.migrations.run.repair import (
        FileDifference,
        accept,
        chain_anew,
        decide_step,
        file_difference,
        restore_file,
    )
    from wedsync.migrations.run.restore_point import RestorePoint, RestorePointRule
    from wedsync.migrations.run.runner import (
        Conditions,
        MigrationApplied,
        MigrationRun,
        Mode,
        judge,
        migrating,
        refuse,
        status,
        up,
    )
    from wedsync.migrations.run.session import Ledger, Session, read_ledger
    from wedsync.migrations.shadow.baseline import BaselinePlan, baseline, plan_baseline, refuse_differences
    from wedsync.migrations.shadow.database import ShadowMaker, shadow_of
    from wedsync.migrations.shadow.dry_run import LEDGER, DryRun, FileTried, StatementTried, dry_run
    from wedsync.migrations.shadow.fingerprint import (
        CatalogueObject,
        Difference,
        Fingerprint,
        differences,
        fingerprint_of,
        read_fingerprint,
    )
    from wedsync.migrations.shadow.observation import Size, Touched
    from wedsync.migrations.undo.down import DownPlan, DownRun, MigrationUndone, down, plan_down, refuse_loss
    from wedsync.migrations.undo.losses import Loss, LossKind
else:
    __getattr__ = names_on_demand(
        __name__,
        {
            "files.directory": (
                "SHIPPED",
                "content_problems",
                "order_files",
                "read_files",
            ),
            "files.header": ("Options",),
            "files.migration": (
                "MigrationFile",
                "MigrationFiles",
            ),
            "files.problems": (
                "Problem",
                "ProblemKind",
            ),
            "files.statements": (
                "Statement",
                "statement_at",
            ),
            "files.template": (
                "NewMigration",
                "new_migration",
            ),
            "ledger.history": (
                "Entry",
                "EventKind",
                "LedgerRow",
                "applied_now",
            ),
            "ledger.status": (
                "Applied",
                "Status",
                "compare",
            ),
            "run.adhoc": (
                "TextRun",
                "run_text",
            ),
            "run.blockers": ("Patience",),
            "run.freeze": ("Freeze",),
            "run.repair": (
                "FileDifference",
                "accept",
                "chain_anew",
                "decide_step",
                "file_difference",
                "restore_file",
            ),
            "run.restore_point": (
                "RestorePoint",
                "RestorePointRule",
            ),
            "run.runner": (
                "Conditions",
                "MigrationApplied",
                "MigrationRun",
                "Mode",
                "judge",
                "migrating",
                "refuse",
                "status",
                "up",
            ),
            "run.session": (
                "Ledger",
                "Session",
                "read_ledger",
            ),
            "shadow.baseline": (
                "BaselinePlan",
                "baseline",
                "plan_baseline",
                "refuse_differences",
            ),
            "shadow.database": (
                "ShadowMaker",
                "shadow_of",
            ),
            "shadow.dry_run": (
                "LEDGER",
                "DryRun",
                "FileTried",
                "StatementTried",
                "dry_run",
            ),
            "shadow.fingerprint": (
                "CatalogueObject",
                "Difference",
                "Fingerprint",
                "differences",
                "fingerprint_of",
                "read_fingerprint",
            ),
            "shadow.observation": (
                "Size",
                "Touched",
            ),
            "undo.down": (
                "DownPlan",
                "DownRun",
                "MigrationUndone",
                "down",
                "plan_down",
                "refuse_loss",
            ),
            "undo.losses": (
                "Loss",
                "LossKind",
            ),
        },
    )

__all__ = [
    "LEDGER",
    "SHIPPED",
    "Applied",
    "BaselinePlan",
    "CatalogueObject",
    "Conditions",
    "Difference",
    "DownPlan",
    "DownRun",
    "DryRun",
    "Entry",
    "EventKind",
    "FileDifference",
    "FileTried",
    "Fingerprint",
    "Freeze",
    "Ledger",
    "LedgerRow",
    "Loss",
    "LossKind",
    "MigrationApplied",
    "MigrationFile",
    "MigrationFiles",
    "MigrationRun",
    "MigrationUndone",
    "Mode",
    "NewMigration",
    "Options",
    "Patience",
    "Problem",
    "ProblemKind",
    "RestorePoint",
    "RestorePointRule",
    "Session",
    "ShadowMaker",
    "Size",
    "Statement",
    "StatementTried",
    "Status",
    "TextRun",
    "Touched",
    "accept",
    "applied_now",
    "baseline",
    "chain_anew",
    "compare",
    "content_problems",
    "decide_step",
    "differences",
    "down",
    "dry_run",
    "file_difference",
    "fingerprint_of",
    "judge",
    "migrating",
    "new_migration",
    "order_files",
    "plan_baseline",
    "plan_down",
    "read_files",
    "read_fingerprint",
    "read_ledger",
    "refuse",
    "refuse_differences",
    "refuse_loss",
    "restore_file",
    "run_text",
    "shadow_of",
    "statement_at",
    "status",
    "up",
]
