"""What programs talk to: the data API, sign-in, and the operations API."""

from wedsync.api.callers import ApiKeys, Callers, KeyFile, KeySet, TokenRules, Tokens
from wedsync.api.operations import (
    Administrators,
    AnyOperation,
    Changed,
    DatabaseCare,
    Entrance,
    JobAnswer,
    OptimizeAction,
    OptimizeOrder,
    PoolStatus,
    SchemaChanges,
    TokenAdministrators,
    database_operations,
    migrate_operations,
    openapi,
    operations_api,
)

__all__ = [
    "Administrators",
    "AnyOperation",
    "ApiKeys",
    "Callers",
    "Changed",
    "DatabaseCare",
    "Entrance",
    "JobAnswer",
    "KeyFile",
    "KeySet",
    "OptimizeAction",
    "OptimizeOrder",
    "PoolStatus",
    "SchemaChanges",
    "TokenAdministrators",
    "TokenRules",
    "Tokens",
    "database_operations",
    "migrate_operations",
    "openapi",
    "operations_api",
]
