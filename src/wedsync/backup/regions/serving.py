"""Serve the pgBackRest host of a second region, which takes its backups of this cluster itself."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from wedsync.backup.pgbackrest import PgBackRest
from wedsync.clock import Clock
from wedsync.errors import WedsyncError
from wedsync.events import Event, observe

_PAUSE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupServerEnded(Event):
    """The server for a pgBackRest host ended; it is started again."""

    level: ClassVar[str] = "error"
    message: str


async def serve_backup_host(pgbackrest: PgBackRest, clock: Clock) -> None:
    """Keep pgBackRest's server running until cancelled."""
    while True:
        try:
            ended = await pgbackrest.serve()
            said = (ended.stderr or ended.stdout).strip()[-400:] or f"exit status {ended.exit_status}"
            observe(BackupServerEnded(message=said))
        except WedsyncError as error:
            observe(BackupServerEnded(message=error.in_one_line()))
        await clock.sleep(_PAUSE)
