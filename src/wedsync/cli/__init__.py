"""The command line: words, tables, JSON, exit codes; decides nothing."""

import click


@click.group()
def main() -> None:
    """Run, back up and take back a PostgreSQL you cannot lose."""
