"""From the catalogue's rows to the values that requests are planned with; no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass

from wedsync.database.catalogue.functions import computed_fields, functions, media_handlers
from wedsync.database.catalogue.model import Catalogue, Column, Name, Table
from wedsync.database.catalogue.relationships import relationships
from wedsync.database.catalogue.rows import CatalogueRows, ColumnRow, TableRow
from wedsync.database.catalogue.view_columns import shown_columns
from wedsync.database.catalogue.view_keys import shown_keys

_UPDATE, _INSERT, _DELETE = 4, 8, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known of a database besides its tables and functions."""

    schemas: tuple[str, ...]
    extra_search_path: tuple[str, ...]
    schema_descriptions: Mapping[str, str]
    time_zones: frozenset[str]
    version_num: int
    has_postgis: bool
    fingerprint: str


def build(rows: CatalogueRows, around: Circumstances) -> Catalogue:
    """The catalogue that the rows describe."""
    columns: dict[int, list[ColumnRow]] = {}
    for column in sorted(rows.columns, key=lambda row: row.number):
        columns.setdefault(column.relation, []).append(column)
    shown = shown_keys(shown_columns(rows.views), rows.keys)
    numbered = {
        table.oid: ((table.schema, table.name), {row.number: row.name for row in columns.get(table.oid, ())})
        for table in rows.tables
    }
    primary = {key.relation: tuple(sorted(key.column_names)) for key in rows.keys if key.kind == "p"}
    primary |= {
        view: tuple(numbered[view][1][number] for number in numbers) for view, numbers in shown.primary.items()
    }
    tables: dict[Name, Table] = {
        (row.schema, row.name): _table(row, columns.get(row.oid, []), primary.get(row.oid, ()))
        for row in rows.tables
    }
    return Catalogue(
        tables=tables,
        relationships=relationships(rows.keys, shown, tables=tables, views=numbered, functions=rows.row_functions),
        functions=functions(rows.functions),
        computed_fields=computed_fields(rows.row_functions),
        media_handlers=media_handlers(rows.handlers),
        time_zones=around.time_zones,
        version_num=around.version_num,
        has_postgis=around.has_postgis,
        fingerprint=around.fingerprint,
        schemas=around.schemas,
        extra_search_path=around.extra_search_path,
        schema_descriptions=around.schema_descriptions,
    )


def _table(row: TableRow, columns: list[ColumnRow], primary_key: tuple[str, ...]) -> Table:
    return Table(
        schema=row.schema,
        name=row.name,
        kind=row.kind,
        columns={column.name: _column(column) for column in columns},
        primary_key=primary_key,
        insertable=bool(row.events & _INSERT),
        updatable=bool(row.events & _UPDATE),
        deletable=bool(row.events & _DELETE),
        description=row.description,
    )


def _column(row: ColumnRow) -> Column:
    return Column(
        name=row.name,
        type=row.type,
        base_type=row.base_type,
        nullable=row.nullable,
        default=row.default,
        is_generated=row.is_generated,
        max_length=row.max_length,
        enum=tuple(row.enum or ()),
        description=row.description,
    )
