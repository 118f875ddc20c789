"""What programs talk to: the data API, sign-in, and the operations API."""

from wedsync.api.callers import Callers
from wedsync.api.operations import Changed, MigrateEndpoint, SchemaChanges, operations_api

__all__ = ["Callers", "Changed", "MigrateEndpoint", "SchemaChanges", "operations_api"]
