"""The operations API: what an operator does on the command line, over HTTP, for administrators only."""

from wedsync.api.operations.administrators import TokenAdministrators
from wedsync.api.operations.database import (
    DatabaseCare,
    JobAnswer,
    OptimizeAction,
    OptimizeOrder,
    PoolStatus,
    database_operations,
)
from wedsync.api.operations.entrance import Administrators, Entrance
from wedsync.api.operations.migrate import Changed, SchemaChanges, migrate_operations
from wedsync.api.operations.openapi import openapi
from wedsync.api.operations.operation import AnyOperation
from wedsync.api.operations.routes import operations_api

__all__ = [
    "Administrators",
    "AnyOperation",
    "Changed",
    "DatabaseCare",
    "Entrance",
    "JobAnswer",
    "OptimizeAction",
    "OptimizeOrder",
    "PoolStatus",
    "SchemaChanges",
    "TokenAdministrators",
    "database_operations",
    "migrate_operations",
    "openapi",
    "operations_api",
]
