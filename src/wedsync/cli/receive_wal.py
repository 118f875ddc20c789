"""`receive-wal`: receive the WAL of a server that is on another host."""

from datetime import timedelta
from pathlib import Path

import click

from wedsync.cli.output import Exit, command


def register(main: click.Group) -> None:
    """Add the command of this module."""

    @click.option(
        "--db-url",
        metavar="DSN",
        required=True,
        envvar="WEDSYNC_DB_URL",
        help="The server, as a role with REPLICATION; else $WEDSYNC_DB_URL. Its password is better in ~/.pgpass.",
    )
    @click.option("--directory", metavar="DIR", type=Path, required=True, help="Where received WAL is kept.")
    @click.option(
        "--keep-hours",
        type=click.FloatRange(0),
        metavar="H",
        default=1.0,
        show_default=True,
        help="How long a segment stays after it is in the archive.",
    )
    async def receive_wal(*, db_url: str, directory: Path, keep_hours: float) -> Exit:
        """Receive WAL as it comes about, until stopped; run it on a host of the second region.

        The home that is protected says `here = false` in [backup.zero_loss]. After the loss of its machine,
        a new home whose `directory` names what was received here loses nothing that was acknowledged.

        \b
        Example:
          wedsync receive-wal --directory /srv/received \\
              --db-url 'postgresql://wedsync_replication@db.example:54329/postgres?sslmode=verify-full'
        """
        return await _receive(db_url, directory, timedelta(hours=keep_hours))

    command(main, "receive-wal", answers=False, needs_home=False, serves=lambda _: True)(receive_wal)


async def _receive(db_url: str, directory: Path, keep: timedelta) -> Exit:
    from wedsync.app import receive_wal, this_environment, until_signalled
    from wedsync.log import configure_logging

    configure_logging()
    await until_signalled(
        lambda: receive_wal(db_url, directory.absolute(), keep=keep, environment=this_environment())
    )
    return Exit.DONE
