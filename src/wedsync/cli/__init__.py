"""The command line: words, tables, JSON, exit codes; decides nothing."""

import click

from wedsync import __version__
from wedsync.cli import (
    backup,
    demo,
    drill,
    gateway,
    home,
    kit,
    lifecycle,
    loadtest,
    migrate,
    receive_wal,
    recover,
    tenant,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wedsync")
def main() -> None:
    """Run, back up and take back a PostgreSQL you cannot lose.

    \b
    Example: wedsync status
    """


for module in (
    lifecycle,
    home,
    kit,
    backup,
    recover,
    drill,
    migrate,
    tenant,
    demo,
    gateway,
    receive_wal,
    loadtest,
):
    module.register(main)
