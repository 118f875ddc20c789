"""What `migrate up --dry-run` says."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wedsync.cli.output import Exit, put_json

if TYPE_CHECKING:
    from wedsync.app import Platform
    from wedsync.migrations import DryRun, Touched

_WEAK = ("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE")
_SHOWN = 8


async def try_in_shadow(platform: "Platform", *, directory: Path, allow_out_of_order: bool, as_json: bool) -> Exit:
    """Run what is pending in a shadow of the home's database, and say what it did there.

    Fails if the database itself is not as before: then somebody else changed it meanwhile.
    """
    from wedsync.migrations import dry_run

    done = await dry_run(
        platform.owner_target,
        platform.shadow_maker(),
        directory=directory,
        allow_out_of_order=allow_out_of_order,
        conditions=platform.migration_conditions(),
        on_file=lambda file: click.echo(f"  {file.id}", err=True),
    )
    if as_json:
        put_json(done.to_json())
    else:
        for line in _lines(done):
            click.echo(line)
    return Exit.DONE if done.target_unchanged else Exit.FAILED


def _lines(done: "DryRun") -> list[str]:
    lines: list[str] = []
    for file in done.files:
        lines.append(f"would apply {file.file.id}  ({_ms(file.took_s)} in the shadow)")
        for it in file.statements:
            seen = [touched for touched in it.touched if _is_worth_a_line(touched)]
            if not seen:
                continue
            lines.append(f"  {file.file.file_name}:{it.line}  {it.text}  ({_ms(it.took_s)})")
            alone = " (a transaction of its own: readers and writers go on)" if it.own_transaction else ""
            lines += [f"      {touched.sentence(done.sizes.get(touched.table))}{alone}" for touched in seen]
    lines += _listed("the catalogue afterwards", [it.sentence() for it in done.changes])
    lines += _listed("the shadow is not quite like the database", [it.sentence() for it in done.unlike])
    if done.target_unchanged:
        lines.append(f"{len(done.files)} pending; the database is as before (catalogue {done.before.digest[:12]})")
    else:
        lines.append("somebody else changed the database meanwhile: run this again")
        lines += _listed("it changed", [it.sentence() for it in done.meanwhile])
    return lines


def _is_worth_a_line(touched: "Touched") -> bool:
    """Whether writers or readers wait, or all rows of a table are read or written."""
    locks = touched.lock not in _WEAK and not touched.held_before
    return locks or touched.rewritten or touched.scanned or touched.dropped or bool(touched.indexes)


def _listed(head: str, sentences: list[str]) -> list[str]:
    if not sentences:
        return []
    shown = [f"  {sentence}" for sentence in sentences[:_SHOWN]]
    more = [f"  and {len(sentences) - _SHOWN} more: --json has them all"] if len(sentences) > _SHOWN else []
    return [f"{head}:", *shown, *more]


def _ms(took_s: float) -> str:
    return f"{took_s * 1000:.1f} ms"
