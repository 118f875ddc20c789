"""The Python client: for services inside the trust boundary (docs/how-to/python-client.md)."""

from wedsync.client.database import ConnectionTest, Database, Health, connect
from wedsync.client.pool import PoolStatus
from wedsync.client.session import Isolation, Session
from wedsync.client.settings import ClientSettings, Retries
from wedsync.client.transaction import Transaction
from wedsync.client.watch import ConnectionHeld, SlowStatement

__all__ = [
    "ClientSettings",
    "ConnectionHeld",
    "ConnectionTest",
    "Database",
    "Health",
    "Isolation",
    "PoolStatus",
    "Retries",
    "Session",
    "SlowStatement",
    "Transaction",
    "connect",
]
