"""The operations API: what an operator does on the command line, over HTTP, for administrators only."""

from wedsync.api.operations.migrate import Changed, MigrateEndpoint, SchemaChanges
from wedsync.api.operations.routes import operations_api

__all__ = ["Changed", "MigrateEndpoint", "SchemaChanges", "operations_api"]
