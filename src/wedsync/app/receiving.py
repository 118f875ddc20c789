"""Receive the WAL of a server that is elsewhere: what the command does that needs no home."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from wedsync.clock import SystemClock
from wedsync.cluster import find_engine
from wedsync.config import default_home
from wedsync.database import ConnectionTarget
from wedsync.zero_loss import Receiver, require_directory


async def receive_wal(db_url: str, directory: Path, *, keep: timedelta, environment: Mapping[str, str]) -> None:
    """Receive until cancelled. Raises `ReceiverFailed` where the directory cannot be written."""
    require_directory(directory)
    target = ConnectionTarget.from_dsn(db_url)
    receiver = Receiver(
        engine=find_engine(default_home(None, environment)),
        target=target,
        directory=directory,
        clock=SystemClock(),
        keep=keep,
    )
    await receiver.run()
