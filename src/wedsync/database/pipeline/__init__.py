"""One round trip per request: batches over libpq's pipeline mode, on a few connections that all share."""

from wedsync.database.pipeline.failure import ServerError, StatementFailed
from wedsync.database.pipeline.lease import Lent
from wedsync.database.pipeline.login import ExposedRole, LoginRole, check_login, read_login
from wedsync.database.pipeline.pool import PipelinePool
from wedsync.database.pipeline.replay import Replay
from wedsync.database.pipeline.status import PoolHealth, PoolStatus
from wedsync.database.pipeline.work import Result, Statement, Work

__all__ = [
    "ExposedRole",
    "Lent",
    "LoginRole",
    "PipelinePool",
    "PoolHealth",
    "PoolStatus",
    "Replay",
    "Result",
    "ServerError",
    "Statement",
    "StatementFailed",
    "Work",
    "check_login",
    "read_login",
]
