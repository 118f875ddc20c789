"""What the operations API does with the database of a home: look at it, and have it maintained."""

import asyncio
import sqlite3
from collections.abc import Mapping
from datetime import timedelta
from time import monotonic
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from wedsync.api.operations import JobAnswer, OptimizeAction, OptimizeOrder
from wedsync.app.platform import Platform
from wedsync.app.proofs import outlook_facts, proof_facts
from wedsync.errors import NotThere, StateProblem, UsageProblem
from wedsync.monitoring import (
    DatabaseMetrics,
    Ping,
    Rpo,
    Rto,
    ask_health,
    ask_metrics,
    read_exposure,
    rpo_of,
    rto_of,
)
from wedsync.sql import statements

_NO_JOB = {"PT404", "P0002"}
"""SQLSTATE of get_job since migration 0019, and before."""
_JOB_MAY_TAKE = timedelta(seconds=20)
_LOOK_AGAIN_S = 0.25


class HomeCare:
    """What `/api/database` does, except for migrations."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def health(self) -> tuple[Ping, DatabaseMetrics | None]:
        """Whether the database answers, and its figures."""
        return await ask_health(self._platform.monitor_target)

    async def if_it_broke(self) -> tuple[Rpo | None, Rto | None]:
        """From the state file alone: it is asked for often, and while the database is away."""
        try:
            exposure = read_exposure(self._platform.state, self._platform.clock.now())
            return rpo_of(exposure), rto_of(outlook_facts(self._platform), proof_facts(self._platform))
        except (StateProblem, sqlite3.Error):
            return None, None

    async def metrics(self) -> DatabaseMetrics:
        """All figures. Raises `CannotConnect`, `FiguresMissing`."""
        return await ask_metrics(self._platform.monitor_target)

    async def optimize(self, order: OptimizeOrder, *, by: str) -> Mapping[str, Any]:
        """Call the function of the action; the trail of the database names who asked."""
        if order.table_name is None and order.action is not OptimizeAction.UPDATE_STATISTICS:
            raise UsageProblem(f"{order.action} needs a table", hint="add table_name")
        try:
            return await self._call(order.action.value, by=by, table=order.table_name)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidParameterValue) as error:
            raise NotThere(
                error.diag.message_primary or "there is no such table", hint=error.diag.message_hint
            ) from error

    async def job(self, number: int) -> JobAnswer:
        """How a job stands. Raises `NotThere`."""
        try:
            return msgspec.convert(await self._call("get_job", by=None, job=number), JobAnswer)
        except psycopg.Error as error:
            if error.sqlstate not in _NO_JOB:
                raise
            raise NotThere(f"there is no job {number}") from error

    async def job_end(self, number: int) -> JobAnswer:
        """The same once it has ended, or as it stands after some seconds."""
        until = monotonic() + _JOB_MAY_TAKE.total_seconds()
        while True:
            found = await self.job(number)
            if found.has_ended or monotonic() > until:
                return found
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _call(self, function: str, *, by: str | None, **values: object) -> dict[str, Any]:
        async with await self._platform.owner_target.connect() as connection:
            if by is not None:
                await connection.execute(statements("care")["say_who"], {"who": by})
            async with connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(statements("care")[function], values)
                row = await cursor.fetchone()
        assert row is not None  # noqa: S101 - a function that gives one value
        answer: dict[str, Any] = row["answer"]
        return answer
