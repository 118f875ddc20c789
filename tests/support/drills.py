"""Drills of a protected home, with one check of the test's own."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from random import Random
from time import monotonic

from support.events import eventually
from support.recoveries import Protected
from wedsync.backup import Verification
from wedsync.copies import Effort
from wedsync.drills import CheckList, CheckResult, Drill, DrillContext, Driller, DrillOrder, Reason

Verify = Callable[[int], Awaitable[Verification]]
_ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("WEDSYNC_", "PG"))},
    "PYTHONPATH": ":".join(path for path in sys.path if path),
}
GENTLE = Effort(nice=0, idle_disk=False, processes=2, least_free_bytes=1)


async def counts_tables(context: DrillContext) -> CheckResult:
    """How many tables the copy has."""
    began = monotonic()
    async with await context.copy.target().connect() as connection:
        row = await (await connection.execute("select count(*) from pg_class where relkind = 'r'")).fetchone()
    assert row is not None
    return CheckResult(name="tables", ok=bool(row[0]), detail=f"{row[0]} tables", took_s=monotonic() - began)


async def writes(context: DrillContext) -> CheckResult:
    """Whether the promoted copy takes a write."""
    async with await context.copy.target().connect() as connection:
        await connection.execute("create table written (n int)")
    return CheckResult(name="writes", ok=True, detail="a table was made", took_s=0.0)


def driller(
    own: Protected,
    *,
    check: Callable[[DrillContext], Awaitable[CheckResult]] = counts_tables,
    seed: int = 7,
    verify: Verify | None = None,
) -> Driller:
    """A driller of this home; chance is the same in each run of a test."""
    platform = own.platform
    platform.pgbackrest.write_config()
    return Driller(
        copies=platform.copies,
        surveyor=platform.surveyor,
        engine=platform.engine,
        home=platform.home,
        config=platform.config,
        state=platform.state,
        clock=platform.clock,
        rng=Random(seed),
        verify=verify or platform.verifier.verify,
        checks=CheckList(at_witness=(), paused=(check,), writing=(writes,), offline=()),
    )


async def drill(own: Protected, order: DrillOrder, *, effort: Effort = GENTLE, by: Driller | None = None) -> Drill:
    """Run one."""
    return await (by or driller(own)).run(order, reason=Reason.OPERATOR, by="test", effort=effort)


def nothing_left(own: Protected) -> bool:
    """Whether no copy is left, neither its files nor its processes."""
    copies = own.home.copies
    return not copies.exists() or not any(copies.iterdir())


async def begun_in_a_process(own: Protected) -> asyncio.subprocess.Process:
    """`wedsync drill run` in a process of its own, with the files of its copy on the disk."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "wedsync", "drill", "run", "--home", str(own.home.root)),
        env=_ENVIRONMENT,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )

    async def restores() -> bool:
        if process.returncode is not None and process.stderr is not None:
            raise AssertionError((await process.stderr.read()).decode())
        return bool([*own.home.copies.glob("*/pgdata/base")])

    await eventually(restores, what="the drill restores")
    return process
