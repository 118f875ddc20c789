"""Tables, relationships and functions of the exposed schemas, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Name = tuple[str, str]
"""Schema and name."""

ANY_ROW: Name = ("pg_catalog", "anyelement")
"""In `media_handlers`: what makes a media type of the rows of any table."""

_OF_ANY_LENGTH = {
    "bit": "bit varying",
    "bit[]": "bit varying[]",
    "character": "character varying",
    "character[]": "character varying[]",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table, view or composite type."""

    name: str
    type: str
    """As `format_type` says it: `character varying(20)`, `integer[]`, `public.mood`."""
    base_type: str
    """The type below a domain, without its modifier."""
    nullable: bool
    default: str | None
    is_generated: bool
    """Generated or identity always: a client may not give a value."""
    max_length: int | None = None
    enum: tuple[str, ...] = ()
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table, partitioned table, view, materialized view or foreign table."""

    schema: str
    name: str
    kind: str
    """`pg_class.relkind`."""
    columns: Mapping[str, Column]
    """By name, in the table's order."""
    primary_key: tuple[str, ...]
    """For a view: of the table below it, where the view shows all its columns."""
    insertable: bool
    updatable: bool
    deletable: bool
    description: str | None = None

    @property
    def id(self) -> Name:
        """Schema and name."""
        return self.schema, self.name

    @property
    def is_view(self) -> bool:
        """Whether it is a view or a materialized view."""
        return self.kind in {"v", "m"}


class Cardinality(StrEnum):
    """How many rows of the other side belong to a row of this one; the values are PostgREST's words."""

    MANY_TO_ONE = "many-to-one"
    ONE_TO_MANY = "one-to-many"
    ONE_TO_ONE = "one-to-one"
    MANY_TO_MANY = "many-to-many"


@dataclass(frozen=True, slots=True, kw_only=True)
class Junction:
    """The table between two tables."""

    table: Name
    source_constraint: str
    target_constraint: str
    source_columns: tuple[tuple[str, str], ...]
    """Column of the source, column of the junction."""
    target_columns: tuple[tuple[str, str], ...]
    """Column of the junction, column of the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relationship:
    """One direction of a way from table to table: by foreign key, through a junction, or by a function."""

    source: Name
    target: Name
    cardinality: Cardinality
    constraint: str
    """Foreign key; of a junction: empty; of a computed relationship: the function's name."""
    columns: tuple[tuple[str, str], ...]
    """Column of the source, column of the target; empty with a junction or a function."""
    junction: Junction | None = None
    function: Name | None = None
    """A computed relationship: a function that takes a row of the source and gives rows of the target."""
    is_self: bool = False
    is_referenced: bool = False
    """One-to-one: the foreign key is the target's, not the source's."""

    @property
    def is_to_one(self) -> bool:
        """Whether at most one row of the target belongs to a row of the source."""
        return self.cardinality in {Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_ONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An argument of a function."""

    name: str
    """Empty where it has none."""
    type: str
    required: bool
    variadic: bool = False

    @property
    def cast_type(self) -> str:
        """The type to read a value as: `bit` and `character` alone mean one bit, one character."""
        return _OF_ANY_LENGTH.get(self.type, self.type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function that the data API can call; overloads are several of these."""

    schema: str
    name: str
    parameters: tuple[Parameter, ...]
    returns_set: bool
    returns_void: bool
    return_type: str
    """As `format_type` says it."""
    returns_table: Name | None
    """The table or view whose rows it gives; embedding works from there."""
    returns_composite: bool
    """Rows with columns: a composite type, a table, OUT or TABLE(…) arguments."""
    single_row: bool
    """Composite but not a set: one object, not a list."""
    volatility: str
    """`v`, `s` or `i`: a volatile function is not called by GET."""
    description: str | None = None
    settings: Mapping[str, str] | None = None
    """`statement_timeout` and `default_transaction_isolation` of `alter function … set`, hoisted."""
    oid: int = 0
    """Tells overloads apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Everything the data API knows of a database; replaced whole when the schema changes."""

    tables: Mapping[Name, Table]
    relationships: Mapping[Name, tuple[Relationship, ...]]
    """By source table."""
    functions: Mapping[Name, tuple[Function, ...]]
    computed_fields: Mapping[Name, Mapping[str, Function]]
    """By table: functions that take its row and give a scalar."""
    media_handlers: Mapping[Name, Mapping[str, Name]]
    """By table or function: media type (`text/html`) to the aggregate or function that makes it; see PostgREST."""
    time_zones: frozenset[str]
    version_num: int
    """`server_version_num`."""
    has_postgis: bool
    fingerprint: str
    """Changes with the catalogue; cheap to ask for again."""
    schemas: tuple[str, ...] = ()
    """The exposed schemas; the first is the one that is meant where a request names none."""
    extra_search_path: tuple[str, ...] = ()
    """Schemas that statements see besides the exposed one, and that the data API does not show."""
    schema_descriptions: Mapping[str, str] = field(default_factory=dict[str, str])
    """Comments on the exposed schemas."""
