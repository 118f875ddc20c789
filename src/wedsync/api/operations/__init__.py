"""The operations API: what an operator does on the command line, over HTTP, for administrators only."""

from wedsync.api.operations.administrators import TokenAdministrators
from wedsync.api.operations.answers import headers_of, problem_of, status_of
from wedsync.api.operations.backups import (
    BackupDesk,
    BackupFilter,
    BackupOrder,
    BackupsAnswer,
    ExpireOrder,
    NextRun,
    Rhythm,
    Schedule,
    VerifyOrder,
    backup_operations,
)
from wedsync.api.operations.database import (
    DatabaseCare,
    JobAnswer,
    OptimizeAction,
    OptimizeOrder,
    PoolStatus,
    database_operations,
)
from wedsync.api.operations.drills import DrillDesk, DrillRequest, Evidence, drill_operations
from wedsync.api.operations.entrance import Administrators, Entrance
from wedsync.api.operations.migrate import Changed, SchemaChanges, migrate_operations
from wedsync.api.operations.openapi import openapi
from wedsync.api.operations.operation import AnyOperation
from wedsync.api.operations.overview import Overview, overview_operations
from wedsync.api.operations.previews import DifferencePlace, PreviewAnswer, PreviewDesk, preview_operations
from wedsync.api.operations.recovery import RecoveryDesk, recovery_operations
from wedsync.api.operations.routes import operations_api
from wedsync.api.operations.rows import RowDesk, RowsOrder, RowsShown, UndoRowsOrder, row_operations
from wedsync.api.operations.timeline import TimelineDesk, timeline_operations
from wedsync.api.operations.trail import Trail

__all__ = [
    "Administrators",
    "AnyOperation",
    "BackupDesk",
    "BackupFilter",
    "BackupOrder",
    "BackupsAnswer",
    "Changed",
    "DatabaseCare",
    "DifferencePlace",
    "DrillDesk",
    "DrillRequest",
    "Entrance",
    "Evidence",
    "ExpireOrder",
    "JobAnswer",
    "NextRun",
    "OptimizeAction",
    "OptimizeOrder",
    "Overview",
    "PoolStatus",
    "PreviewAnswer",
    "PreviewDesk",
    "RecoveryDesk",
    "Rhythm",
    "RowDesk",
    "RowsOrder",
    "RowsShown",
    "Schedule",
    "SchemaChanges",
    "TimelineDesk",
    "TokenAdministrators",
    "Trail",
    "UndoRowsOrder",
    "VerifyOrder",
    "backup_operations",
    "database_operations",
    "drill_operations",
    "headers_of",
    "migrate_operations",
    "openapi",
    "operations_api",
    "overview_operations",
    "preview_operations",
    "problem_of",
    "recovery_operations",
    "row_operations",
    "status_of",
    "timeline_operations",
]
