"""One round trip per request: batches over libpq's pipeline mode, on a few connections that all share."""

from wedsync.database.pipeline.failure import ServerError, StatementFailed
from wedsync.database.pipeline.pool import PipelinePool
from wedsync.database.pipeline.work import Result, Statement, Work

__all__ = ["PipelinePool", "Result", "ServerError", "Statement", "StatementFailed", "Work"]
