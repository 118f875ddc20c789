"""Heap and indexes are built as they must be, and every row is in its indexes."""

import re
from datetime import timedelta
from time import monotonic

from wedsync.drills.check import DrillContext
from wedsync.drills.checks.measured import Answer, Finding, check, counted
from wedsync.drills.checks.session import session
from wedsync.process import Finished, run
from wedsync.sql import statements

_WITHIN = timedelta(minutes=20)
_HEAPALLINDEXED_BYTES = 2_000_000_000
"""Of tables that are, with their indexes, not more than this together each row is looked up in its indexes."""
_PROGRESS = re.compile(r"(\d+)/(\d+) relations \(\s*\d+%\),?\s+(\d+)/(\d+) pages")
_NOISE = re.compile(r"^(?:\s*\d+/\d+ relations|pg_amcheck: (?:including|in database|checking|warning))")


@check("pg_amcheck", within=_WITHIN + timedelta(minutes=1))
async def check_structure(context: DrillContext) -> Answer:
    """Whether `pg_amcheck` finds nothing: all tables and B-tree indexes, of the smaller ones also row by row."""
    async with session(context) as connection:
        sizes = await (await connection.execute(statements("drill_checks")["btree_bytes"])).fetchall()
    total = sum(row[1] for row in sizes)
    thorough = total <= _HEAPALLINDEXED_BYTES
    began = monotonic()
    finished = await _amcheck(context, ["--heapallindexed"] if thorough else [])
    answer = judge_structure(finished)
    depth = "each row found in its indexes" if thorough else "rows not looked up in indexes: too large"
    return Finding(
        looked_at=answer.looked_at,
        detail=f"{answer.detail}, {depth}, {monotonic() - began:.1f} s",
        wrong=answer.wrong,
    )


async def _amcheck(context: DrillContext, options: list[str]) -> Finished:
    target = context.copy.target(dbname=context.database)
    words = ["nice", "-n", "10", context.engine.program("pg_amcheck")]
    words += ["--install-missing=pg_catalog", "--progress", "--no-password", *options]
    words += ["-h", target.host, "-p", str(target.port), "-U", target.user, "--database", context.database]
    return await run(words, deadline=_WITHIN, env=context.engine.environment | {"LC_ALL": "C"})


def judge_structure(finished: Finished) -> Finding:
    """What `pg_amcheck --progress` said: complaints are on stdout, errors on stderr (exit status 2 and 1)."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", finished.stdout + "\n" + finished.stderr)]
    progress = [match for line in lines for match in [_PROGRESS.search(line)] if match is not None]
    relations, pages = (int(progress[-1][1]), int(progress[-1][3])) if progress else (0, 0)
    said = [line for line in lines if line and not _PROGRESS.search(line) and not _NOISE.match(line)]
    wrong = said if finished.exit_status != 0 else []
    if finished.exit_status != 0 and not wrong:
        wrong = [f"pg_amcheck ended with {finished.exit_status}"]
    return Finding(
        looked_at=relations,
        detail=f"{counted(relations, 'relation')}, {counted(pages, 'page')}",
        wrong=tuple(wrong),
    )
