"""What pg_control says: the cluster's identity, its state, and the sizes its WAL was written with."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from wedsync.cluster.engine import Engine
from wedsync.errors import DataDirectoryProblem
from wedsync.process import run

_SIZES = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}


async def read_control(engine: Engine, pgdata: Path) -> dict[str, str]:
    """The lines of `pg_controldata` by name; `DataDirectoryProblem` if the file is damaged."""
    finished = await run(
        [engine.program("pg_controldata"), "-D", pgdata],
        deadline=timedelta(seconds=30),
        env={**engine.environment, "LC_ALL": "C"},
    )
    said = finished.stdout + finished.stderr
    if finished.exit_status or "WARNING:" in said:
        wrong = next((line for line in said.splitlines() if "WARNING" in line or "error" in line), said)
        raise DataDirectoryProblem(
            "pg_control is damaged: without it no server starts",
            detail=wrong.strip(),
            hint="restore from a backup: wedsync recover run --to latest",
        )
    pairs = (line.partition(":") for line in finished.stdout.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def raised_for_recovery(settings: Mapping[str, str], control: Mapping[str, str]) -> dict[str, str]:
    """The settings that a recovery must raise: it ends if they are lower than when the WAL was written.

    Such as after a move to a smaller machine (PostgreSQL manual, 27.4.3: "recovery aborted because of
    insufficient parameter settings").
    """
    raised: dict[str, str] = {}
    for name, line in _SIZES.items():
        written_with, now = control.get(line, ""), settings.get(name, "")
        if written_with.isdigit() and (not now.isdigit() or int(now) < int(written_with)):
            raised[name] = written_with
    return raised
