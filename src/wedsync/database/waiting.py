"""How PostgreSQL tells of a commit whose wait for the receiver of WAL was cancelled."""

WAIT_FOR_RECEIVER = "SyncRepWaitForLSN"
"""The function in PostgreSQL's source that warns `canceling wait for synchronous replication`, in any language."""
