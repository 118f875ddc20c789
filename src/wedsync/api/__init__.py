"""What programs talk to: the data API, sign-in, and the operations API."""

from wedsync.api.callers import ApiKeys, Callers, KeyFile, KeySet, TokenRules, Tokens
from wedsync.api.operations import Changed, MigrateEndpoint, SchemaChanges, operations_api

__all__ = [
    "ApiKeys",
    "Callers",
    "Changed",
    "KeyFile",
    "KeySet",
    "MigrateEndpoint",
    "SchemaChanges",
    "TokenRules",
    "Tokens",
    "operations_api",
]
