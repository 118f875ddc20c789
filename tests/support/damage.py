"""Random damage that several people do to several couples, by a seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed, Identifier, Literal

from wedsync.database import ConnectionTarget

ACTORS = tuple(f"00000000-0000-4000-8000-00000000000{n}" for n in range(1, 4))
MOVABLE = {"text", "character varying", "boolean", "smallint", "integer", "date", "timestamp with time zone"}
"""Types of columns whose values go from one row to another."""


@dataclass(frozen=True)
class Of:
    """A table whose rows are couples'."""

    name: str
    couple: str
    key: tuple[str, ...]
    plain: tuple[str, ...]
    """Columns in no key and no foreign key."""
    columns: tuple[str, ...]


async def tables_of_couples(connection: AsyncConnection[Any]) -> list[Of]:
    cursor = await connection.execute(
        "select c.relname, case c.relname when 'couples' then 'id' else 'couple_id' end,"
        "  array(select a.attname::text from pg_index i"
        "         cross join unnest(i.indkey::smallint[]) with ordinality as k (attnum, n)"
        "         join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum"
        "         where i.indrelid = c.oid and i.indisprimary order by k.n),"
        "  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0"
        "         and not a.attisdropped and a.attgenerated = ''"
        "         and format_type(a.atttypid, null) = any (%s)"
        "         and not exists (select from pg_constraint k where k.conrelid = c.oid and k.contype in ('p', 'f')"
        "                            and a.attnum = any (k.conkey)) order by 1),"
        "  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0"
        "         and not a.attisdropped and a.attgenerated = '' and a.attidentity = '' order by a.attnum)"
        "  from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'"
        "   and (c.relname = 'couples' or exists (select from pg_attribute a where a.attrelid = c.oid"
        "                                            and a.attname = 'couple_id' and not a.attisdropped))"
        " order by 1",
        (list(MOVABLE),),
    )
    return [Of(row[0], row[1], tuple(row[2]), tuple(row[3]), tuple(row[4])) for row in await cursor.fetchall()]


class Damage:
    """What people do to a database in a few transactions, by a seed."""

    def __init__(self, seed: int, tables: Sequence[Of], couples: Sequence[UUID]) -> None:
        self._dice = random.Random(seed)
        self._tables = tables
        self._couples = couples
        self.done: dict[str, int] = {}
        self.refused = 0

    async def do(self, now: ConnectionTarget) -> None:
        """Some transactions, one after the other."""
        async with await now.connect() as connection:
            for _ in range(self._dice.randint(2, 6)):
                async with connection.transaction():
                    await connection.execute(
                        "select set_config('request.jwt.claims', %s, true)",
                        (f'{{"sub": "{self._dice.choice(ACTORS)}"}}',),
                    )
                    for _ in range(self._dice.randint(1, 5)):
                        await self._step(connection)

    async def _step(self, connection: AsyncConnection[Any]) -> None:
        kind = self._dice.choice(("delete", "delete", "update", "update", "insert", "move", "swap", "again"))
        try:
            async with connection.transaction():
                cursor = await connection.execute(getattr(self, f"_{kind}")())
        except (
            psycopg.IntegrityError,
            psycopg.DataError,
            psycopg.errors.RaiseException,
            psycopg.ProgrammingError,
        ):
            self.refused += 1  # a rule of the database: then the next one
        else:
            self.done[kind] = self.done.get(kind, 0) + max(cursor.rowcount, 0)

    def _some(self, table: Of, most: int) -> Composed:
        """A condition for some rows of a couple, the same ones for the same seed."""
        couple = self._dice.choice(self._couples)
        return SQL(
            "({key}) in (select {key} from {table} where {couple} = {id} order by md5({key_text} || {salt})"
            " limit {most})"
        ).format(
            key=SQL(", ").join(map(Identifier, table.key)),
            table=Identifier("public", table.name),
            couple=Identifier(table.couple),
            id=Literal(couple),
            key_text=SQL(" || ").join(SQL("{}::text").format(Identifier(name)) for name in table.key),
            salt=Literal(str(self._dice.random())),
            most=Literal(most),
        )

    def _delete(self) -> Composed:
        table = self._dice.choice(self._tables)
        return SQL("delete from {} where {}").format(
            Identifier("public", table.name), self._some(table, self._dice.choice((1, 2, 50)))
        )

    def _update(self) -> Composed:
        """Values of another row, wherever one is."""
        table = self._dice.choice([table for table in self._tables if table.plain])
        column = Identifier(self._dice.choice(table.plain))
        name = Identifier("public", table.name)
        return SQL(
            "update {name} set {column} ="
            " (select {column} from {name} order by md5({column}::text || {salt}) limit 1) where {some}"
        ).format(
            name=name,
            column=column,
            salt=Literal(str(self._dice.random())),
            some=self._some(table, self._dice.choice((1, 3, 20))),
        )

    def _insert(self) -> Composed:
        """Copies of rows with ids of their own."""
        table = self._dice.choice([table for table in self._tables if "id" in table.key and table.couple != "id"])
        values = SQL(", ").join(
            SQL("gen_random_uuid()") if name == "id" else Identifier(name) for name in table.columns
        )
        return SQL("insert into {name} ({columns}) select {values} from {name} where {some}").format(
            name=Identifier("public", table.name),
            columns=SQL(", ").join(map(Identifier, table.columns)),
            values=values,
            some=self._some(table, 3),
        )

    def _move(self) -> Composed:
        """Rows of one couple become another's."""
        table = self._dice.choice([table for table in self._tables if table.couple == "couple_id"])
        return SQL("update {} set couple_id = {} where {}").format(
            Identifier("public", table.name), Literal(self._dice.choice(self._couples)), self._some(table, 3)
        )

    def _swap(self) -> Composed:
        """Two columns of guests and households change places, unique ones too."""
        return SQL("update public.guests set first_name = last_name, last_name = first_name where {}").format(
            self._some(next(table for table in self._tables if table.name == "guests"), 5)
        )

    def _again(self) -> Composed:
        """A row goes, and another one gets its key: somebody else's, where the key does not name the couple."""
        free = [table for table in self._tables if table.couple == "couple_id" and "couple_id" not in table.key]
        if not free:
            return self._move()
        table = self._dice.choice(free)
        columns = [name for name in table.columns if name != "couple_id"]
        return SQL(
            "with gone as (select * from {name} where {some}),"
            " cut as (delete from {name} t using gone where {same})"
            " insert into {name} ({columns}, couple_id) select {columns}, {couple} from gone"
        ).format(
            name=Identifier("public", table.name),
            some=self._some(table, 2),
            same=SQL(" and ").join(SQL("t.{0} = gone.{0}").format(Identifier(name)) for name in table.key),
            columns=SQL(", ").join(map(Identifier, columns)),
            couple=Literal(self._dice.choice(self._couples)),
        )
