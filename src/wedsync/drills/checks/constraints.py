"""Every constraint is in force, and the rows keep it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from psycopg import AsyncConnection, errors, sql
from psycopg.rows import TupleRow, class_row

from wedsync.drills.check import DrillContext
from wedsync.drills.checks.measured import Answer, Finding, check, counted
from wedsync.drills.checks.session import session
from wedsync.sql import statements

_READING = timedelta(minutes=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A constraint of a table, its names quoted as SQL takes them."""

    id: int
    table: str
    name: str
    kind: str
    """`c` check, `f` foreign key, `p` primary key, `u` unique, `x` exclusion."""
    validated: bool
    definition: str
    expression: str | None
    referenced: str | None
    columns: Sequence[str]
    referenced_columns: Sequence[str]
    operators: Sequence[str]
    match_full: bool
    partitioned: bool
    size_bytes: int

    @property
    def is_asked(self) -> bool:
        """Whether rows are asked about; the others are proven by their index (pg_amcheck)."""
        return self.kind in {"c", "f"}


@check("constraints", within=_READING + timedelta(minutes=1))
async def check_constraints(context: DrillContext) -> Answer:
    """Whether all are validated, and no row breaks a foreign key or a check, the small tables first."""
    until = monotonic() + _READING.total_seconds()
    wrong: list[str] = []
    proven = unread = 0
    async with session(context) as connection:
        async with connection.cursor(row_factory=class_row(Constraint)) as cursor:
            await cursor.execute(statements("drill_checks")["constraints"])
            constraints = await cursor.fetchall()
        for constraint in constraints:
            if not constraint.validated:
                wrong.append(f"{constraint.name} of {constraint.table} is not validated")
            if not constraint.is_asked:
                continue
            if (left_s := until - monotonic()) <= 0:
                unread += 1
                continue
            try:
                broken = await _is_broken(connection, constraint, within_s=left_s)
            except errors.QueryCanceled:
                unread += 1
                continue
            proven += 1
            if broken:
                wrong.append(f"a row of {constraint.table} breaks {constraint.name}: {constraint.definition}")
    late = f", {unread} not asked for want of time" if unread else ""
    return Finding(
        looked_at=proven,
        detail=f"{counted(len(constraints), 'constraint')}; rows asked for {proven} of {proven + unread}{late}",
        wrong=tuple(wrong),
    )


async def _is_broken(connection: AsyncConnection[TupleRow], constraint: Constraint, *, within_s: float) -> bool:
    async with connection.transaction(force_rollback=True):
        limit = sql.Literal(f"{max(1, round(within_s * 1000))}ms")
        await connection.execute(sql.SQL("set local statement_timeout = {}").format(limit))
        row = await (await connection.execute(question(constraint))).fetchone()
    return row is not None and bool(row[0])


def question(constraint: Constraint) -> sql.Composed:
    """Whether any row breaks a foreign key (a value that nobody has) or a check."""
    table = _as_is(constraint.table)
    only = sql.SQL("" if constraint.partitioned or constraint.kind == "c" else "only ")
    if constraint.kind == "c":
        return sql.SQL("select exists (select from {only}{table} where not ({expression}))").format(
            only=only, table=table, expression=_as_is(constraint.expression or "true")
        )
    pairs = list(zip(constraint.columns, constraint.referenced_columns, constraint.operators, strict=True))
    joined = sql.SQL(" and ").join(
        sql.SQL("there.{theirs} {same} own.{ours}").format(
            theirs=_as_is(theirs), same=_as_is(same), ours=_as_is(ours)
        )
        for ours, theirs, same in pairs
    )
    # MATCH SIMPLE asks nothing of a key with a null; MATCH FULL only of one that is all null.
    word = sql.SQL(" or " if constraint.match_full else " and ")
    given = word.join(sql.SQL("own.{} is not null").format(_as_is(ours)) for ours in constraint.columns)
    return sql.SQL(
        "select exists (select from {only}{table} own where ({given})"
        " and not exists (select from {referenced} there where {joined}))"
    ).format(only=only, table=table, given=given, referenced=_as_is(constraint.referenced or ""), joined=joined)


def _as_is(text: str) -> sql.SQL:
    """Text that the catalogue has quoted already."""
    return sql.SQL(text)  # pyright: ignore[reportArgumentType] - it comes from the catalogue
