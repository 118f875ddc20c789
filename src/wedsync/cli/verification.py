"""`backup verify`: its answers."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, put_json, put_table

if TYPE_CHECKING:
    from wedsync.backup import ShownCoverage


async def verify_now(
    home_path: str | None, *, as_json: bool, repo: int | None, repair: bool, dry_run: bool
) -> Exit:
    """Read the repositories, repair if asked to, and say what was found."""
    from wedsync.app import verify_backups

    platform = open_platform(home_path)
    found = await verify_backups(platform, repo=repo, repair=repair, dry_run=dry_run, by=platform.operator)
    if as_json:
        put_json(found)
        return Exit.DONE if found.ok else Exit.NO
    if found.repaired:
        rows = [asdict(item) | {"done": "yes" if item.done else "no"} for item in found.repaired]
        click.echo("would be done:" if dry_run else "repairs:")
        put_table(rows, ["repo", "file", "done", "words", "quarantine"])
    if found.ok:
        click.echo(f"all well: {found.checked} files and WAL segments are whole")
    else:
        left = " left" if any(item.done for item in found.repaired) else ""
        click.echo(f"{len(found.problems)} problems{left} in {found.checked} files and WAL segments:")
        put_table([asdict(item) for item in found.problems], ["repo", "label", "file", "problem"])
    return Exit.DONE if found.ok else Exit.NO


def show_status(home_path: str | None, *, as_json: bool) -> Exit:
    """Say how far reading has come, and what is wrong, without reading."""
    from msgspec.structs import asdict as fields

    from wedsync.app import verification_status

    found = verification_status(open_platform(home_path))
    if as_json:
        put_json(found)
        return Exit.DONE if found.ok else Exit.NO
    _coverage(found.coverage)
    for title, rows in (("wrong now:", found.problems), ("over, in the last week:", found.recent)):
        if rows:
            click.echo(title)
            put_table(
                [fields(item) for item in rows],
                ["repo", "label", "file", "problem", "found_at", "ended_by", "repair"],
            )
    return Exit.DONE if found.ok else Exit.NO


def _coverage(items: "Sequence[ShownCoverage]") -> None:
    from wedsync.words import size_words

    for item in items:
        words = f"repo{item.repo}: {item.share:.0%} of {size_words(item.bytes)} in {item.files} files read in time"
        if item.oldest_read_at is not None:
            words += f", the oldest at {item.oldest_read_at:%Y-%m-%d %H:%M} UTC"
        if item.done_at is not None:
            words += f", all by {item.done_at:%Y-%m-%d %H:%M} UTC"
        if item.behind_since is not None:
            words += f", overdue since {item.behind_since:%Y-%m-%d %H:%M} UTC"
        click.echo(words + (f"; it cannot be read: {item.error}" if item.error else ""))
