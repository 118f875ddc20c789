"""What a copy shows beside what a witness recorded."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from time import monotonic

from psycopg import AsyncConnection, DatabaseError
from psycopg.rows import TupleRow

from wedsync.drills.witness.digests import Part, digest_part, settle, tables_of
from wedsync.drills.witness.model import TableDigest, Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The digests of a copy compared with a witness's."""

    tables: int
    """That were compared."""
    rows: int
    differences: tuple[str, ...]
    """A sentence for each table that is not as it was recorded."""
    not_read: tuple[str, ...] = ()
    """Tables that the time was too short for."""

    @property
    def ok(self) -> bool:
        """Whether something was compared, and all of it is the same."""
        return self.tables > 0 and not self.differences


async def compare_copy(connection: AsyncConnection[TupleRow], witness: Witness, *, within_s: float) -> Compared:
    """Digest on a copy that stands at the witness's place what the witness digested, in the same form."""
    until = monotonic() + within_s
    await settle(connection, lock_timeout_s=10, idle_timeout_s=60)
    there = {table.name for table in await tables_of(connection)}
    found: dict[str, TableDigest | str] = {}
    not_read: list[str] = []
    for item in witness.tables:
        if item.table not in there:
            continue
        part = Part(table=item.table, blocks=item.blocks, span=item.span)
        if (left_s := until - monotonic()) <= 0:
            not_read.append(item.table)
            continue
        try:
            found[item.table] = await digest_part(connection, part, within_s=left_s, form=item.form)
        except DatabaseError as error:
            if connection.closed:
                raise
            found[item.table] = " ".join(str(error).split())
    return compare_digests(witness, found, there=there, not_read=not_read)


def compare_digests(
    witness: Witness,
    found: Mapping[str, TableDigest | str],
    *,
    there: Collection[str],
    not_read: Collection[str] = (),
) -> Compared:
    """What differs between a witness and what was found by table: a digest, or why it could not be read.

    `there` are all tables of the copy.
    """
    recorded = {item.table: item for item in witness.tables}
    known = recorded.keys() | {item.table for item in witness.left_out}
    differences = [f"{table} is gone" for table in sorted(recorded.keys() - set(there))]
    differences += [f"{table} was not there" for table in sorted(set(there) - known)]
    rows = 0
    for table, item in recorded.items():
        match found.get(table):
            case None:
                pass  # gone, or not read
            case str() as error:
                differences.append(f"{table} cannot be read: {error}")
            case TableDigest() as now:
                rows += now.rows
                differences += _difference(item, now)
    return Compared(tables=len(found), rows=rows, differences=tuple(differences), not_read=tuple(sorted(not_read)))


def _difference(recorded: TableDigest, now: TableDigest) -> list[str]:
    if now.rows != recorded.rows:
        return [f"{recorded.table} had {recorded.rows} rows, has {now.rows}{_where(recorded)}"]
    if now.digest != recorded.digest:
        return [f"{recorded.table} has as many rows as it had ({now.rows}), but not the same{_where(recorded)}"]
    return []


def _where(recorded: TableDigest) -> str:
    span = recorded.span
    return "" if span is None else f" in blocks {span.first} to {span.end - 1} of {recorded.blocks}"
