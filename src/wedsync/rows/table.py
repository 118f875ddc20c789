"""Tables as the catalogue describes them: columns, keys, what refers to what."""

from collections.abc import Sequence

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import Identifier

from wedsync.sql import statements


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column; `generated` ones are computed by the database and never written."""

    name: str
    type: str
    generated: bool
    identity: bool
    """Whether it is GENERATED ALWAYS AS IDENTITY: it is written at an insert only, and by saying so."""


class ForeignKey(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of a row that name a row of another table (or of the same one)."""

    name: str
    table: str
    columns: tuple[str, ...]
    referenced: tuple[str, ...]


class UniqueKey(msgspec.Struct, frozen=True, kw_only=True):
    """What two rows of a table may not have in common: a unique index or an exclusion constraint."""

    name: str
    primary: bool
    deferrable: bool
    nulls_equal: bool
    predicate: str | None
    expressions: tuple[str, ...]
    """As PostgreSQL writes them, with the columns' bare names."""
    operators: tuple[str, ...] | None
    """Those of an exclusion constraint; `None`: equality."""
    columns: tuple[str, ...]
    """Every column that it looks at, those of expressions and of the predicate too."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table; a partitioned one stands for its partitions."""

    schema: str
    relation: str
    estimated_rows: int
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...]
    unique_keys: tuple[UniqueKey, ...]

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.relation}"

    @property
    def identifier(self) -> Identifier:
        return Identifier(self.schema, self.relation)

    def column(self, name: str) -> Column | None:
        """The column of this name, if there is one."""
        return next((column for column in self.columns if column.name == name), None)


async def read_tables(
    connection: AsyncConnection[TupleRow], names: Sequence[str] | None = None
) -> dict[str, Table]:
    """Every table of users by `schema.name`, or those of `names` that there are."""
    cursor = await connection.execute(
        statements("rows")["tables"], {"names": None if names is None else list(names)}
    )
    found = [msgspec.json.decode(row[0], type=Table) for row in await cursor.fetchall()]
    return {table.name: table for table in found}
