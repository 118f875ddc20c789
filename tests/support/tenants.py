"""Two complete tenants in every table, filled from the catalogue: what the tests of isolation act on.

`Schema` reads the tables. `fill_world` makes a business, its wedding and the people of both, then a row or two in
every table; a value comes from the column's foreign key, its type, or `VALUES` where a check wants something
particular. A table that cannot be filled fails by its name: give it its value there.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import uuid4

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

Row: TypeAlias = dict[str, Any]

PEOPLE = ("boss", "viewer", "partner", "helper", "florist", "spare")
"""Of each world: the business's owner and its book keeper; one of the couple and a helper; the owner of another
business that the couple lets in; and somebody with an account who belongs to nothing yet."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    required: bool
    """NOT NULL, and without a default."""
    choices: tuple[str, ...]
    """What a check `in (…)` allows."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    columns: tuple[str, ...]
    table: str
    referenced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table that holds somebody's rows; `name` without its schema where that is public."""

    name: str
    schema: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...]
    updatable: tuple[str, ...]
    """Columns that the role authenticated may update."""

    @property
    def bare_name(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def identifier(self) -> Identifier:
        return Identifier(self.schema, self.bare_name)

    @property
    def is_link(self) -> bool:
        """Whether its key says nothing but which rows of other tables belong together."""
        return set(self.key) <= {column for key in self.foreign_keys for column in key.columns}


@dataclass(frozen=True, slots=True)
class World:
    """One tenant of each kind with everything it has. Rows by table, as JSON has them."""

    people: Mapping[str, str]
    rows: dict[str, list[Row]] = field(default_factory=dict[str, list[Row]])

    @property
    def organization(self) -> str:
        return self.rows["organizations"][0]["id"]

    @property
    def couple(self) -> str:
        return self.rows["couples"][0]["id"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row to be made: the number of it in its table, and who is about to add it (`None`: the fixture)."""

    world: World
    number: int
    caller: str | None


def _people(*names: str) -> Callable[[Wanted], str]:
    return lambda wanted: wanted.world.people[names[min(wanted.number, len(names) - 1)]]


def _sender(wanted: Wanted) -> str | None:
    return "couple" if wanted.caller in {"partner", "helper"} else "supplier"


def _day(wanted: Wanted) -> str:
    """A time of its own for each row, so that no two are booked at once."""
    return f"2026-06-{wanted.number + 1:02d} 12:00+00"


SIGN_IN = frozenset(
    f"auth.{name}"
    for name in (
        *("authorization_codes", "letters", "mfa_challenges", "mfa_factors", "one_time_tokens"),
        *("refresh_tokens", "sessions", "throttles"),
    )
)
"""Tables of the sign-in service, which nobody else may read."""
VALUES: dict[str, Callable[[Wanted], Any]] = {
    "auth.users.email": lambda _: f"{uuid4().hex}@example.com",
    "auth.mfa_factors.factor_type": lambda _: "totp",
    "auth.one_time_tokens.purpose": lambda wanted: ("signup", "recovery", "magiclink")[wanted.number],
    "guest_dietary.requirement": lambda wanted: ("vegan", "nuts", "halal")[wanted.number],
    "organization_members.user_id": _people("boss", "viewer", "spare"),
    "organization_members.role": lambda wanted: ("owner", "viewer", "staff")[wanted.number],
    "couple_members.user_id": _people("partner", "helper", "spare"),
    "couple_members.role": lambda wanted: ("partner", "helper", "helper")[wanted.number],
    "organizations.slug": lambda _: f"slug-{uuid4().hex[:12]}",
    "connections.status": lambda _: "active",
    "devices.user_id": _people("partner"),
    "notifications.user_id": _people("partner"),
    "invitations.role": lambda _: "staff",
    "invitations.email": lambda _: f"{uuid4().hex}@example.com",
    "core_field_definitions.key": lambda wanted: f"field_{wanted.number}_{uuid4().hex[:8]}",
    "core_field_values.field_key": lambda wanted: ("first_dance", "dress_code", "colours")[wanted.number],
    "core_field_values.value": lambda _: "words",
    "messages.sender_kind": _sender,
    "messages.sender_id": lambda wanted: wanted.caller and wanted.world.people.get(wanted.caller),
    "timeline_events.ends_at": lambda _: "2026-12-31 12:00+00",
    "bookings.starts_at": _day,
    "bookings.ends_at": lambda wanted: f"2026-06-{wanted.number + 1:02d} 13:00+00",
    "availability.during": lambda wanted: f"[2026-05-{wanted.number + 1:02d} 12:00+00,2026-05-30 12:00+00)",
    "forms.status": lambda _: "published",
    "form_drafts.user_id": _people("partner"),
    "files.couple_id": lambda wanted: wanted.world.couple,
    "files.storage_key": lambda wanted: f"{wanted.world.organization}/{uuid4().hex}",
    "files.media_type": lambda _: "image/jpeg",
    "task_evidence.note": lambda _: "the tables are laid",
    "photo_group_dependencies.depends_on_id": lambda wanted: wanted.world.rows["photo_groups"][
        1 if wanted.number == 0 else 0
    ]["id"],
    "photo_group_dependencies.photo_group_id": lambda wanted: wanted.world.rows["photo_groups"][
        0 if wanted.number == 0 else 2
    ]["id"],
    # Only drafts may be added by hand; what is there was sent, or the couple would not see it.
    "invoices.status": lambda wanted: "sent" if wanted.caller is None else "draft",
    "invoices.lines": lambda _: [{"description": "Photographs", "quantity": 1, "unit_minor": 90000}],
    "invoices.subtotal_minor": lambda _: 90000,
    "invoices.total_minor": lambda _: 90000,
}
"""By `table.column`: what foreign key, choices and type do not give."""

_BY_NAME = {"time_zone": "Europe/London", "currency": "GBP"}
_ROWS = {"organizations": 1, "couples": 1, "organization_members": 2, "couple_members": 2, "photo_groups": 3}
"""How many rows a table gets: by default one of a link, two of all else."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables that hold rows of tenants and people, referenced ones first."""

    tables: tuple[Table, ...]

    def __getitem__(self, name: str) -> Table:
        return next(table for table in self.tables if table.name == name)

    @property
    def names(self) -> set[str]:
        return {table.name for table in self.tables}

    def row(self, table: Table, wanted: Wanted) -> Row:
        """Values for the columns that must be given; the others are left to their defaults."""
        made: Row = {}
        world = wanted.world
        for key in table.foreign_keys:
            nullable = not any(
                column.required and column.name not in {"couple_id", "organization_id"}
                for column in table.columns
                if column.name in key.columns
            )
            targets = world.rows.get(key.table)
            whole_key_is_tenant = set(key.columns) <= {"couple_id", "organization_id", "user_id"}
            if not targets or (nullable and not whole_key_is_tenant):
                continue
            target = targets[min(wanted.number, len(targets) - 1)]
            for column, referenced in zip(key.columns, key.referenced, strict=True):
                if next(item for item in table.columns if item.name == column).required:
                    made[column] = target[referenced]
        for column in table.columns:
            particular = VALUES.get(f"{table.name}.{column.name}")
            if particular is not None:
                made[column.name] = particular(wanted)
            elif column.required and column.name not in made:
                made[column.name] = _value(column)
        return made


def _value(column: Column) -> Any:  # noqa: PLR0911 - a table of types
    if column.choices:
        return column.choices[0]
    if column.name in _BY_NAME:
        return _BY_NAME[column.name]
    match column.type:
        case "text":
            return f"{column.name}_{uuid4().hex[:8]}"
        case "text[]":
            return ["one"]
        case "uuid":
            return str(uuid4())
        case "smallint" | "integer" | "bigint":
            return uuid4().int % 900 + 1
        case "timestamp with time zone":
            return "2026-06-13 12:00+00"
        case "date":
            return "2026-06-13"
        case "boolean":
            return False
        case "bytea":
            return f"\\x{uuid4().hex}{uuid4().hex}"
        case "jsonb":
            return {}
        case _:
            raise LookupError(
                f"no value for {column.name} of type {column.type}: add it to support.tenants.VALUES"
            )


_TABLES = """
select c.relname as name, n.nspname as schema,
       array(select a.attname::text from unnest(x.indkey) with ordinality as k (attnum, place)
               join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum order by place) as key,
       array(select a.attname::text from pg_attribute a
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                and has_column_privilege('authenticated', c.oid, a.attnum, 'update')
              order by a.attnum) as updatable,
       (select jsonb_agg(jsonb_build_object(
                   'name', a.attname, 'type', format_type(a.atttypid, null),
                   'required', a.attnotnull and not a.atthasdef and a.attidentity = '') order by a.attnum)
          from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
       array(select pg_get_constraintdef(k.oid) from pg_constraint k
              where k.conrelid = c.oid and k.contype = 'c') as checks,
       (select coalesce(jsonb_agg(jsonb_build_object(
                   'columns', array(select attname from unnest(k.conkey) with ordinality as u (attnum, place)
                                      join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum
                                     order by place),
                   'table', case when r.relnamespace = 'public'::regnamespace then r.relname::text
                                 else r.oid::regclass::text end,
                   'referenced', array(select attname from unnest(k.confkey) with ordinality as u (attnum, place)
                                         join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.attnum
                                        order by place))
                   order by k.conname), '[]')
          from pg_constraint k join pg_class r on r.oid = k.confrelid
         where k.conrelid = c.oid and k.contype = 'f') as foreign_keys
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_index x on x.indrelid = c.oid and x.indisprimary
 where n.nspname in ('public', 'auth') and c.relkind in ('r', 'p') and not c.relispartition
 order by c.relname
"""


async def read_schema(connection: AsyncConnection[Any]) -> Schema:
    """The tables of public and auth, in an order that their foreign keys accept."""
    rows = await (await connection.cursor(row_factory=dict_row).execute(_TABLES)).fetchall()
    found = {table.name: table for table in map(_table, rows)}
    ordered: dict[str, Table] = {}
    while len(ordered) < len(found):
        ready = [
            table
            for name, table in found.items()
            if name not in ordered and all(key.table in ordered or key.table == name for key in table.foreign_keys)
        ]
        assert ready, f"foreign keys in a circle among {sorted(found.keys() - ordered.keys())}"
        ordered |= {table.name: table for table in ready}
    return Schema(tuple(ordered.values()))


def _table(row: Row) -> Table:
    choices = {
        match[1]: tuple(re.findall(r"'([^']*)'::text", match[2]))
        for check in row["checks"]
        if (match := re.fullmatch(r"CHECK \(\((\w+) = ANY \(ARRAY\[(.*)\]\)\)\)", check))
    }
    return Table(
        name=row["name"] if row["schema"] == "public" else f"{row['schema']}.{row['name']}",
        schema=row["schema"],
        columns=tuple(Column(**column, choices=choices.get(column["name"], ())) for column in row["columns"]),
        key=tuple(row["key"]),
        foreign_keys=tuple(
            ForeignKey(tuple(key["columns"]), key["table"], tuple(key["referenced"]))
            for key in row["foreign_keys"]
        ),
        updatable=tuple(row["updatable"]),
    )


def insert(table: Table, row: Row, *, returning: bool = False) -> tuple[SQL, Row]:
    """The statement that adds a row, and its parameters."""
    columns = SQL(", ").join(map(Identifier, row))
    statement = SQL("insert into {0} ({1}) select {1} from jsonb_populate_record(null::{0}, %(row)s)").format(
        table.identifier, columns
    )
    if returning:
        statement += SQL(" returning to_jsonb({}.*)").format(
            Identifier(table.identifier.as_string().split('"')[-2])
        )
    return statement, {"row": Jsonb(row)}  # type: ignore[return-value]


async def fill_world(connection: AsyncConnection[Any], schema: Schema) -> World:
    """Make a business, its wedding, their people, and rows of theirs in every table."""
    world = World({name: str(uuid4()) for name in PEOPLE})
    users = schema["auth.users"]
    world.rows[users.name] = [
        await _add(connection, users, {"id": user, "email": f"{name}.{user}@example.com"})
        for name, user in world.people.items()
    ]
    for table in schema.tables:
        if table.name == users.name:
            continue
        made = world.rows.setdefault(table.name, [])
        for number in range(_ROWS.get(table.name, 1 if table.is_link else 2)):
            made.append(await _add(connection, table, schema.row(table, Wanted(world, number, None))))
    await _add_florist(connection, schema, world)
    return world


async def _add_florist(connection: AsyncConnection[Any], schema: Schema, world: World) -> None:
    """Another business that the couple works with; it may look, not change."""
    made = await _add(connection, schema["organizations"], {"name": "Fern", "slug": f"fern-{uuid4().hex[:12]}"})
    florist = {"organization_id": made["id"]}
    await _add(
        connection,
        schema["organization_members"],
        {**florist, "user_id": world.people["florist"], "role": "owner"},
    )
    supplier = await _add(connection, schema["suppliers"], {**florist, "name": "Fern", "category": "florist"})
    await _add(
        connection,
        schema["connections"],
        {**florist, "couple_id": world.couple, "supplier_id": supplier["id"], "status": "active"},
    )


async def _add(connection: AsyncConnection[Any], table: Table, row: Row) -> Row:
    try:
        found = await (await connection.execute(*insert(table, row, returning=True))).fetchone()
    except (psycopg.Error, LookupError) as error:
        raise AssertionError(
            f"{table.name} cannot be filled: {error}; tell support.tenants.VALUES what its checks want"
        ) from error
    assert found is not None
    return found[0]
