"""The rows of `sql/catalogue.sql`, as PostgreSQL gives them."""

from typing import NamedTuple


class TableRow(NamedTuple):
    """A table or view of an exposed schema."""

    oid: int
    schema: str
    name: str
    kind: str
    events: int
    description: str | None


class ColumnRow(NamedTuple):
    """One of its columns."""

    relation: int
    number: int
    name: str
    type: str
    base_type: str
    nullable: bool
    default: str | None
    is_generated: bool
    max_length: int | None
    enum: list[str] | None
    description: str | None


class KeyRow(NamedTuple):
    """A primary key (`p`), a unique key (`u`) or a foreign key (`f`); columns in the key's order."""

    oid: int
    kind: str
    name: str
    relation: int
    schema: str
    table_name: str
    columns: list[int]
    column_names: list[str]
    other: int
    other_schema: str | None
    other_name: str | None
    other_columns: list[int]
    other_column_names: list[str]


class ViewRow(NamedTuple):
    """A view with the parse tree of its definition, as `pg_node_tree` is written."""

    relation: int
    exposed: bool
    definition: str


class FunctionRow(NamedTuple):
    """A function of an exposed schema, with its input arguments."""

    oid: int
    schema: str
    name: str
    names: list[str]
    types: list[str]
    variadic: bool
    optional: int
    returns_set: bool
    returns_void: bool
    return_type: str
    returns_composite: bool
    table_schema: str | None
    table_name: str | None
    volatility: str
    rows: float
    settings: list[str] | None
    description: str | None


class RowFunctionRow(NamedTuple):
    """A function whose one argument is a row of an exposed table."""

    schema: str
    name: str
    table_schema: str
    table_name: str
    target_schema: str | None
    target_name: str | None
    returns_set: bool
    rows: float
    return_type: str
    returns_composite: bool
    argument_type: str
    volatility: str
    description: str | None


class HandlerRow(NamedTuple):
    """What makes a media type: an aggregate for a table, or a function for itself."""

    handler_schema: str
    handler_name: str
    media_type: str
    target_schema: str
    target_name: str


class CatalogueRows(NamedTuple):
    """Everything that one load reads."""

    tables: list[TableRow]
    columns: list[ColumnRow]
    keys: list[KeyRow]
    views: list[ViewRow]
    functions: list[FunctionRow]
    row_functions: list[RowFunctionRow]
    handlers: list[HandlerRow]
