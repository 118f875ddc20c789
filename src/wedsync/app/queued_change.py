"""A change of the schema that was queued by `execute_migration`: looked over as a file is, then run as one."""

import hashlib
from collections.abc import Mapping

from wedsync.app.platform import Platform
from wedsync.errors import MigrationsRefused
from wedsync.migrations import SHIPPED, MigrationFile, MigrationFiles, read_files, run_text

_AFTER_ALL = 9999
"""The number under which it is looked over: every migration of the platform stands before it."""


class QueuedChange:
    """Runs what `ops.jobs` holds of kind `migration`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def __call__(self, *, sql: str, name: str, by: str) -> Mapping[str, object]:
        """Run the text, once. Raises `MigrationsRefused` where lint finds an error, and what `run_text` raises."""
        await refuse_unsafe(sql, name)
        platform = self._platform
        done = await run_text(
            platform.owner_target,
            name=name,
            text=sql,
            conditions=platform.migration_conditions(by=f"{by}, execute_migration"),
        )
        return done.to_json()


async def refuse_unsafe(sql: str, name: str) -> None:
    """Judge a text as `wedsync migrate lint` judges a file that stands behind the platform's own."""
    from wedsync.migrations.lint import Level, lint  # noqa: PLC0415 - rules and parser: for those who need them

    text = MigrationFile(
        number=_AFTER_ALL, name=name, text=sql, raw_checksum=hashlib.sha256(sql.encode()).hexdigest()
    )
    own = read_files(SHIPPED)
    report = await lint(MigrationFiles(files=(*own.files, text), problems=()), only={text.id})
    if report.is_clean():
        return
    said = [problem.message for problem in report.problems]
    said += [
        f"line {found.line}: {found.message} ({found.rule})"
        for found in report.findings
        if found.level is Level.ERROR
    ]
    raise MigrationsRefused(
        f"{name}: {len(said)} findings; nothing was run",
        detail="; ".join(said),
        hint="mend them, or allow each with its reason: -- lint: allow RULE because REASON",
    )
