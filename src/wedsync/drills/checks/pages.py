"""Every page of every file has the checksum that was written with it."""

import re
from datetime import timedelta

from wedsync.drills.check import DrillContext
from wedsync.drills.checks.measured import Answer, Finding, Skipped, check, counted
from wedsync.process import run

_WITHIN = timedelta(minutes=30)
_COUNTED = re.compile(r"^(Files scanned|Blocks scanned|Bad checksums):\s+(\d+)$", re.MULTILINE)
_BAD = re.compile(r'checksum verification failed in file "(?P<file>[^"]+)", block (?P<block>\d+)')


@check("page checksums", within=_WITHIN + timedelta(minutes=1))
async def check_pages(context: DrillContext) -> Answer:
    """Whether `pg_checksums --check` finds every page whole; the copy was stopped cleanly."""
    finished = await run(
        ["nice", "-n", "10", context.engine.program("pg_checksums"), "--check", "-D", context.data_directory],
        deadline=_WITHIN,
        env=context.engine.environment | {"LC_ALL": "C"},
    )
    return judge_pages(finished.exit_status, finished.stdout, finished.stderr)


def judge_pages(exit_status: int, stdout: str, stderr: str) -> Answer:
    """What the output of `pg_checksums --check` says (PostgreSQL 15)."""
    if "data checksums are not enabled" in stderr:
        return Skipped(reason="the cluster was made without data checksums: a damaged page cannot be told")
    numbers = {name: int(number) for name, number in _COUNTED.findall(stdout)}
    files, blocks = numbers.get("Files scanned", 0), numbers.get("Blocks scanned", 0)
    wrong = [f"block {match['block']} of {_below(match['file'])} is damaged" for match in _BAD.finditer(stderr)]
    if not wrong and (exit_status != 0 or numbers.get("Bad checksums", 1) != 0):
        wrong = [" ".join(stderr.split()) or f"pg_checksums ended with {exit_status}"]
    return Finding(
        looked_at=blocks,
        detail=f"{counted(blocks, 'page')} in {counted(files, 'file')}",
        wrong=tuple(wrong),
    )


def _below(file: str) -> str:
    """The file as it is called in the data directory."""
    match = re.search(r"(base|global|pg_tblspc)/.*", file)
    return match[0] if match else file.rpartition("/")[2]
