"""The tables that hold rows of tenants and people, as the catalogue describes them."""

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import Identifier

from wedsync.sql import statements


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a table."""

    name: str
    type: str
    nullable: bool
    comment: str = ""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A foreign key."""

    table: str
    columns: tuple[str, ...]
    referenced: tuple[str, ...]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table and whose secrets it keeps out of history and exports."""

    schema: str
    relation: str
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    references: tuple[Reference, ...]
    left_out: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.relation}"

    @property
    def identifier(self) -> Identifier:
        return Identifier(self.schema, self.relation)

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns without secrets."""
        return tuple(column for column in self.columns if column.name not in self.left_out)

    def has(self, column: str) -> bool:
        """Whether there is a column of this name."""
        return any(item.name == column for item in self.columns)


async def read_tables(connection: AsyncConnection[TupleRow]) -> tuple[Table, ...]:
    """Every table of public, auth and app, by name."""
    cursor = await connection.execute(statements("tenants")["tables"])
    return tuple(msgspec.json.decode(row[0], type=Table) for row in await cursor.fetchall())
