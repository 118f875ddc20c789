"""Tables and views in the description: their rows, their filters, what can be done with them."""

from collections.abc import Iterator

from wedsync.api.rest.openapi.types import Schema, default_value, titled, value
from wedsync.database.catalogue import Cardinality, Catalogue, Column, Table

_READING = ("select", "order", "range", "rangeUnit", "offset", "limit", "preferCount")


def definition(catalogue: Catalogue, table: Table) -> Schema:
    """What a row is."""
    found: Schema = {"type": "object"}
    if table.description:
        found["description"] = table.description
    required = [column.name for column in table.columns.values() if not column.nullable]
    if required:
        found["required"] = required
    if table.columns:
        found["properties"] = {
            column.name: _property(catalogue, table, column) for column in table.columns.values()
        }
    return found


def parameters(table: Table) -> Iterator[tuple[str, Schema]]:
    """The parameters that are this table's own: its body, and a filter for each column."""
    yield (
        f"body.{table.name}",
        {
            "name": table.name,
            "description": table.name,
            "required": False,
            "in": "body",
            "schema": {"$ref": f"#/definitions/{table.name}"},
        },
    )
    for column in table.columns.values():
        described: Schema = {"description": column.description} if column.description else {}
        yield (
            f"rowFilter.{table.name}.{column.name}",
            {"name": column.name, **described, "required": False, "in": "query", "type": "string"},
        )


def path(table: Table) -> Schema:
    """GET, and where anything may be written, POST, PATCH and DELETE."""
    name = table.name
    said: Schema = {"tags": [name], **titled(table.description)}
    filters = [f"rowFilter.{name}.{column}" for column in table.columns]
    rows: Schema = {"type": "array", "items": {"$ref": f"#/definitions/{name}"}}
    found: Schema = {
        "get": {
            **said,
            "parameters": references(*filters, *_READING),
            "responses": {"200": {"description": "OK", "schema": rows}, "206": {"description": "Partial Content"}},
        }
    }
    if table.insertable or table.updatable or table.deletable:
        body = f"body.{name}"
        found["post"] = {
            **said,
            "parameters": references(body, "select", "preferPost"),
            "responses": {"201": {"description": "Created"}},
        }
        found["patch"] = {
            **said,
            "parameters": references(*filters, body, "preferReturn"),
            "responses": {"204": {"description": "No Content"}},
        }
        found["delete"] = {
            **said,
            "parameters": references(*filters, "preferReturn"),
            "responses": {"204": {"description": "No Content"}},
        }
    return found


def references(*names: str) -> list[Schema]:
    """Parameters that are described once for all."""
    return [{"$ref": f"#/parameters/{name}"} for name in names]


def _property(catalogue: Catalogue, table: Table, column: Column) -> Schema:
    found = value(column.base_type)
    if column.default is not None and (default := default_value(column.base_type, column.default)) is not None:
        found["default"] = default
    if column.enum:
        found["enum"] = list(column.enum)
    if column.max_length is not None:
        found["maxLength"] = column.max_length
    if description := _described(catalogue, table, column):
        found["description"] = description
    return found


def _described(catalogue: Catalogue, table: Table, column: Column) -> str | None:
    """The comment, and whether the column is a key, in the marks that generators of clients look for."""
    notes = ["This is a Primary Key.<pk/>"] if column.name in table.primary_key else []
    if target := _referenced(catalogue, table, column):
        other, key = target
        notes.append(f"This is a Foreign Key to `{other}.{key}`.<fk table='{other}' column='{key}'/>")
    if not notes:
        return column.description
    return "\n\n".join(filter(None, (column.description, "\n".join(["Note:", *notes]))))


def _referenced(catalogue: Catalogue, table: Table, column: Column) -> tuple[str, str] | None:
    """Table and column that a foreign key of this one column leads to; tables before views."""
    ways = [
        way
        for way in catalogue.relationships.get(table.id, ())
        if way.cardinality in {Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_ONE}
        and not way.is_referenced
        and way.target[0] == table.schema
        and [own for own, _ in way.columns] == [column.name]
    ]
    way = min(ways, key=lambda way: catalogue.tables[way.target].is_view, default=None)
    return None if way is None else (way.target[1], way.columns[0][1])
