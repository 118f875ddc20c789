"""The operations API: what an operator does on the command line, over HTTP, for administrators only."""

from wedsync.api.caller import Callers
from wedsync.api.migrate import Changed, MigrateEndpoint, SchemaChanges
from wedsync.api.operations import operations_api

__all__ = ["Callers", "Changed", "MigrateEndpoint", "SchemaChanges", "operations_api"]
