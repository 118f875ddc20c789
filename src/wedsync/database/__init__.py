"""Talk to a PostgreSQL: where it is, one connection to it, positions in its log."""

from wedsync.database.lsn import SEGMENT_BYTES, Lsn
from wedsync.database.target import ConnectionTarget
from wedsync.database.waiting import WAIT_FOR_RECEIVER

__all__ = ["SEGMENT_BYTES", "WAIT_FOR_RECEIVER", "ConnectionTarget", "Lsn"]
