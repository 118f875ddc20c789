"""`backup …`: take, list, verify, expire, hold."""

from time import monotonic
from typing import TYPE_CHECKING

import click

from wedsync.cli.context import open_platform
from wedsync.cli.output import Exit, ProgressLine, command, put_json, put_table

if TYPE_CHECKING:
    from wedsync.app import Platform
    from wedsync.backup import Backup


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
    async def verify(*, home_path: str | None, as_json: bool, repo: int | None) -> Exit:
        """Read every file of the repositories and check the chain of the WAL.

        Exit code 0 when all is whole, 3 when something is not.

        \b
        Example: wedsync backup verify --repo 2
        """
        platform = _with_backups(home_path)
        found = await platform.verifier.verify(_known(platform, repo))
        problems = [
            {"repo": item.repo, "label": item.label, "file": item.file, "problem": item.problem}
            for item in found.problems
        ]
        if as_json:
            put_json({"ok": found.ok, "checked": found.checked, "problems": problems})
        elif found.ok:
            click.echo(f"all well: {found.checked} files and WAL segments are whole")
        else:
            click.echo(f"{len(problems)} problems in {found.checked} files and WAL segments:")
            put_table(problems, ["repo", "label", "file", "problem"])
        return Exit.DONE if found.ok else Exit.NO

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
        platform = _with_backups(home_path, changes=True)
        _audit(platform, "backup hold", {"repo": repo, "label": label, "reason": reason})
        await platform.backup_runs.hold(repo=repo, label=label, reason=reason)
        if as_json:
            put_json({"repo": repo, "label": label, "held": reason})
        else:
            click.echo(f"{label} in repo{repo} is {'held: ' + reason if reason else 'released'}")
        return Exit.DONE

    command(backup, "run", interrupted="no backup was added; the next run takes over what was copied")(run)
    command(backup, "list")(list_)
    command(backup, "verify")(verify)
    command(backup, "expire", interrupted="wedsync backup list says which backups are left")(expire)
    command(backup, "hold", interrupted="wedsync backup list says whether it is held")(hold)


async def _run(home_path: str | None, *, as_json: bool, kind: str, repo: int | None) -> Exit:
    from wedsync.backup import BackupKind, RunReason
    from wedsync.words import duration_words, size_words

    platform = _with_backups(home_path, changes=True)
    _known(platform, repo)
    _audit(platform, "backup run", {"type": kind, "repo": repo})
    line = ProgressLine()
    taken: list[tuple[Backup, float]] = []
    for number in platform.pgbackrest.repos if repo is None else (repo,):
        began = monotonic()
        newest = await platform.backup_runs.take(
            BackupKind(kind),
            repo=number,
            reason=RunReason.OPERATOR,
            on_progress=lambda percent, number=number: line.show(
                f"{kind} backup to repo{number}: {percent:.0f} %"
            ),
        )
        taken.append((newest, monotonic() - began))
        line.end()
        if not as_json:
            click.echo(
                f"{newest.label} in repo{number}: {size_words(newest.database_bytes)} in"
                f" {size_words(newest.repo_bytes)}, {duration_words(taken[-1][1])}"
            )
    if as_json:
        first, took_s = taken[0]
        put_json(
            {
                "label": first.label,
                "type": first.kind,
                "started_at": first.started_at,
                "finished_at": first.finished_at,
                "took_s": round(took_s, 2),
                "database_bytes": first.database_bytes,
                "repo_bytes": first.repo_bytes,
                "repos": [
                    {
                        "repo": item.repo,
                        "label": item.label,
                        "type": item.kind,
                        "took_s": round(item_took_s, 2),
                        "repo_bytes": item.repo_bytes,
                    }
                    for item, item_took_s in taken
                ],
            }
        )
    return Exit.DONE


async def _list(home_path: str | None, *, as_json: bool) -> Exit:
    platform = _with_backups(home_path)
    catalogue = await platform.backup_runs.refresh()
    rows = [
        {
            "repo": item.repo,
            "label": item.label,
            "type": str(item.kind),
            "started_at": item.started_at,
            "finished_at": item.finished_at,
            "took_s": item.took_s,
            "database_bytes": item.database_bytes,
            "repo_bytes": item.repo_bytes,
            "held": item.held,
            "damaged": item.damaged,
        }
        for item in catalogue.backups
    ]
    if as_json:
        put_json(
            {
                "backups": rows,
                "repositories": [
                    {"repo": item.repo, "ok": item.ok, "message": item.message} for item in catalogue.repositories
                ],
            }
        )
        return Exit.DONE
    put_table(rows, ["repo", "label", "type", "finished_at", "took_s", "database_bytes", "repo_bytes", "held"])
    for status in catalogue.repositories:
        if not status.ok:
            click.echo(f"repo{status.repo} cannot be read: {status.message}", err=True)
    return Exit.DONE


async def _expire(home_path: str | None, *, as_json: bool, repo: int | None, label: str | None, yes: bool) -> Exit:
    platform = _with_backups(home_path, changes=yes)
    if label is not None and repo is None:
        raise click.UsageError("--label needs --repo")
    plans = await platform.backup_runs.plan_retention()
    rows = [
        {"repo": removal.repo, "label": removal.label, "reason": removal.reason}
        for plan in plans
        for removal in plan.removals
        if label is None or (removal.label, removal.repo) == (label, repo)
    ]
    if yes:
        _audit(platform, "backup expire", {"repo": repo, "label": label})
        if label is not None and repo is not None:
            await platform.backup_runs.remove(repo=repo, label=label)
        else:
            await platform.backup_runs.apply_retention()
    if as_json:
        put_json({"removed" if yes else "would_remove": rows})
        return Exit.DONE
    put_table(rows, ["repo", "label", "reason"])
    click.echo(f"{len(rows)} backups {'removed' if yes else 'would go; --yes removes them'}")
    return Exit.DONE


def _with_backups(home_path: str | None, *, changes: bool = False) -> "Platform":
    platform = open_platform(home_path)
    platform.require_backups("backup", changes=changes)
    return platform


def _known(platform: "Platform", repo: int | None) -> int | None:
    if repo is not None and repo not in platform.pgbackrest.repos:
        raise click.UsageError(
            f"there is no repo{repo}; configured: "
            + ", ".join(f"repo{item}" for item in platform.pgbackrest.repos)
        )
    return repo


def _audit(platform: "Platform", action: str, detail: dict[str, object]) -> None:
    from wedsync.state import record_action

    record_action(
        platform.state, at=platform.clock.now(), operator=platform.operator, action=action, detail=detail
    )
