"""`backup …`: take, list, verify, expire, hold."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, ProgressLine, command, put_json, put_table

if TYPE_CHECKING:
    from wedsync.backup import Backup, ShownBackup


def register(main: click.Group) -> None:
    """Add the commands of this module."""

    @main.group()
    def backup() -> None:
        """Backups: take, list, verify, expire, hold."""

    @click.option("--type", "kind", type=click.Choice(["full", "diff", "incr"]), default="incr", show_default=True)
    @click.option("--repo", type=int, help="One repository only; all of them if left out.")
    async def run(*, home_path: str | None, as_json: bool, kind: str, repo: int | None) -> Exit:
        """Take a backup now, into each repository.

        \b
        Example: wedsync backup run --type full
        """
        return await _run(home_path, as_json=as_json, kind=kind, repo=repo)

    async def list_(*, home_path: str | None, as_json: bool) -> Exit:
        """List the backups of all repositories, oldest first.

        \b
        Example: wedsync backup list
        """
        return await _list(home_path, as_json=as_json)

    @click.option("--repo", type=int, help="One repository only; all of them if left out.")
    @click.option("--repair", is_flag=True, help="Put back what can be, from another repository or from pg_wal.")
    @click.option("--dry-run", is_flag=True, help="Say what --repair would put back.")
    @click.option("--status", is_flag=True, help="How far the keeper's reading has come; reads nothing.")
    async def verify(
        *, home_path: str | None, as_json: bool, repo: int | None, repair: bool, dry_run: bool, status: bool
    ) -> Exit:
        """Read every file of the repositories and check the chain of the WAL.

        Exit code 0 when all is whole, 3 when something is not.

        \b
        Example: wedsync backup verify --repair --dry-run
        """
        from wedsync.cli.verification import show_status, verify_now

        if status and (repair or dry_run or repo is not None):
            raise click.UsageError("--status goes with no other option: it reads and repairs nothing")
        if status:
            return show_status(home_path, as_json=as_json)
        return await verify_now(home_path, as_json=as_json, repo=repo, repair=repair, dry_run=dry_run)

    @click.option("--repo", type=int, help="With --label: the repository it is in.")
    @click.option("--label", help="One backup that retention lets go of; all of them if left out.")
    @click.option("--yes", is_flag=True, help="Remove them; without it they are only listed.")
    async def expire(
        *, home_path: str | None, as_json: bool, repo: int | None, label: str | None, yes: bool
    ) -> Exit:
        """Remove the backups that retention lets go of. Shows them; `--yes` removes them.

        \b
        Example: wedsync backup expire --yes
        """
        return await _expire(home_path, as_json=as_json, repo=repo, label=label, yes=yes)

    @click.argument("label")
    @click.option("--repo", type=int, default=1, show_default=True)
    @click.option("--reason", help="Why it must stay.")
    @click.option("--release", is_flag=True, help="Let retention decide again.")
    async def hold(
        *, home_path: str | None, as_json: bool, label: str, repo: int, reason: str | None, release: bool
    ) -> Exit:
        """Keep a backup, and all it is built on, until it is released.

        \b
        Example: wedsync backup hold 20260614-010000F --reason 'dispute 4711'
        """
        if release == bool(reason):
            raise click.UsageError("give either --reason or --release")
        from wedsync.app import hold_backup

        platform = open_platform(home_path)
        done = await hold_backup(platform, repo=repo, label=label, reason=reason, by=platform.operator)
        if as_json:
            put_json(done)
        else:
            click.echo(f"{label} in repo{repo} is {'held: ' + reason if reason else 'released'}")
        return Exit.DONE

    @click.option("--repo", type=int, default=2, show_default=True)
    @click.option("--before", required=True, help="The moment whose objects come back, such as 2026-06-14T02:00Z.")
    @click.option("--dry-run", is_flag=True, help="Say what would come back; change nothing.")
    async def undelete(*, home_path: str | None, as_json: bool, repo: int, before: str, dry_run: bool) -> Exit:
        """Bring back what was deleted or overwritten in a bucket since a moment; what was added since stays.

        Works where the bucket keeps versions: delete markers are taken away, older versions copied up.

        \b
        Example: wedsync backup undelete --repo 2 --before '2026-06-14 02:00' --dry-run
        """
        return await _undelete(home_path, as_json=as_json, repo=repo, before=before, dry_run=dry_run)

    command(backup, "undelete", interrupted="run it again: it goes on where it was")(undelete)
    command(backup, "run", interrupted="no backup was added; the next run takes over what was copied")(run)
    command(backup, "list")(list_)
    command(backup, "verify")(verify)
    command(backup, "expire", interrupted="wedsync backup list says which backups are left")(expire)
    command(backup, "hold", interrupted="wedsync backup list says whether it is held")(hold)


async def _run(home_path: str | None, *, as_json: bool, kind: str, repo: int | None) -> Exit:
    from wedsync.app import take_backups
    from wedsync.backup import BackupKind
    from wedsync.words import duration_words, size_words

    platform = open_platform(home_path)
    line = ProgressLine()

    def say(newest: "Backup", took_s: float) -> None:
        line.end()
        if not as_json:
            click.echo(
                f"{newest.label} in repo{newest.repo}: {size_words(newest.database_bytes)} in"
                f" {size_words(newest.repo_bytes)}, {duration_words(took_s)}"
            )

    done = await take_backups(
        platform,
        BackupKind(kind),
        repo=repo,
        by=platform.operator,
        on_progress=lambda number, percent: line.show(f"{kind} backup to repo{number}: {percent:.0f} %"),
        on_taken=say,
    )
    if as_json:
        put_json(done)
    return Exit.DONE


async def _list(home_path: str | None, *, as_json: bool) -> Exit:
    from msgspec.structs import asdict as fields

    from wedsync.app import list_backups

    found = await list_backups(open_platform(home_path))
    if as_json:
        put_json(found)
        return Exit.DONE
    put_table(
        [{**fields(item), "proven": _proven(item)} for item in found.backups],
        ["repo", "label", "type", "finished_at", "took_s", "database_bytes", "repo_bytes", "held", "proven"],
    )
    for status in found.repositories:
        if not status.ok:
            click.echo(f"repo{status.repo} cannot be read: {status.message}", err=True)
    return Exit.DONE


def _proven(item: "ShownBackup") -> str:
    """Whether a drill has restored it, which and when."""
    from wedsync.words import moment_words

    if item.proof is None:
        return "unproven"
    return f"{'by' if item.proof.passed else 'FAILED in'} {item.proof.drill}, {moment_words(item.proof.at)}"


async def _expire(home_path: str | None, *, as_json: bool, repo: int | None, label: str | None, yes: bool) -> Exit:
    from wedsync.app import expire_backups

    platform = open_platform(home_path)
    done = await expire_backups(platform, repo=repo, label=label, remove=yes, by=platform.operator)
    if as_json:
        put_json(done)
        return Exit.DONE
    rows = [asdict(item) for item in done.removed or done.would_remove or ()]
    put_table(rows, ["repo", "label", "reason"])
    click.echo(f"{len(rows)} backups {'removed' if yes else 'would go; --yes removes them'}")
    return Exit.DONE


async def _undelete(home_path: str | None, *, as_json: bool, repo: int, before: str, dry_run: bool) -> Exit:
    from wedsync.app import undelete_region
    from wedsync.recovery import parse_moment
    from wedsync.words import moment_words, size_words

    platform = open_platform(home_path)
    done = await undelete_region(
        platform, repo=repo, before=parse_moment(before), dry_run=dry_run, by=platform.operator
    )
    if as_json:
        put_json(done)
        return Exit.NO if done.lost else Exit.DONE
    verb = "would come back" if dry_run else "are back"
    click.echo(
        f"repo{repo} as of {moment_words(done.before)}: {done.markers} deleted and"
        f" {done.copies} overwritten objects {verb} ({size_words(done.copied_bytes)} copied)"
    )
    for key in done.lost:
        click.echo(f"lost for good: {key}", err=True)
    return Exit.NO if done.lost else Exit.DONE
