"""The description of a schema, as PostgREST gives it: an OpenAPI 2.0 document."""

import asyncio
from dataclasses import dataclass

import msgspec

from wedsync import __version__
from wedsync.api.rest.openapi import functions, tables
from wedsync.api.rest.openapi.types import Schema
from wedsync.api.rest.openapi.visible import Visible
from wedsync.database.catalogue import Catalogue

_MEDIA_TYPES = [
    "application/json",
    "application/vnd.pgrst.object+json;nulls=stripped",
    "application/vnd.pgrst.object+json",
    "text/csv",
]
_PREFERENCES = {
    "preferParams": [],
    "preferReturn": ["return=representation", "return=minimal", "return=none"],
    "preferCount": ["count=none"],
    "preferPost": [
        "return=representation",
        "return=minimal",
        "return=none",
        "resolution=ignore-duplicates",
        "resolution=merge-duplicates",
    ],
}
_PAGING = "Limiting and Pagination"
_OTHERS = {
    "select": ("select", "Filtering Columns", "query"),
    "on_conflict": ("on_conflict", "On Conflict", "query"),
    "order": ("order", "Ordering", "query"),
    "range": ("Range", _PAGING, "header"),
    "rangeUnit": ("Range-Unit", _PAGING, "header"),
    "offset": ("offset", _PAGING, "query"),
    "limit": ("limit", _PAGING, "query"),
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the clients find the data API."""

    scheme: str
    host: str
    """With the port, if it is not the scheme's own."""
    base_path: str
    """`/rest/v1`, or `/`."""

    def in_document(self) -> Schema:
        """The members of the document that say it."""
        return {"schemes": [self.scheme], "host": self.host, "basePath": self.base_path}


class Descriptions:
    """Documents by schema and by what is visible, as long as the catalogue is the same.

    A document of a thousand tables takes a second to write: it is done once, beside the requests, for all who see
    the same, from wherever they come.
    """

    _MOST = 16

    def __init__(self) -> None:
        self._catalogue: Catalogue | None = None
        self._documents: dict[tuple[str, Visible], bytes] = {}
        self._one_at_a_time = asyncio.Lock()

    async def of(self, catalogue: Catalogue, schema: str, visible: Visible, address: Address) -> bytes:
        """The document as JSON."""
        key = schema, visible
        async with self._one_at_a_time:
            if self._catalogue is not catalogue or len(self._documents) >= self._MOST:
                self._catalogue, self._documents = catalogue, {}
            if key not in self._documents:
                self._documents[key] = await asyncio.to_thread(_written, catalogue, schema, visible)
            document = self._documents[key]
        return msgspec.json.encode(address.in_document())[:-1] + b"," + document[1:]


def _written(catalogue: Catalogue, schema: str, visible: Visible) -> bytes:
    return msgspec.json.encode(describe(catalogue, schema, visible))


def describe(catalogue: Catalogue, schema: str, visible: Visible) -> Schema:
    """The document of what is visible in one exposed schema, but for its address."""
    title, _, description = catalogue.schema_descriptions.get(schema, "").partition("\n")
    shown = [
        table for (of, name), table in sorted(catalogue.tables.items()) if of == schema and name in visible.tables
    ]
    callable_ = [
        function
        for (of, _), overloads in sorted(catalogue.functions.items())
        if of == schema
        for function in overloads
        if function.oid in visible.functions
    ]
    return {
        "swagger": "2.0",
        "info": {
            "title": title or "WedSync data API",
            "description": description.lstrip("\n")
            or "Tables and functions of the database, in PostgREST's dialect",
            "version": __version__,
        },
        "externalDocs": {
            "description": "PostgREST Documentation",
            "url": "https://postgrest.org/en/v16/references/api.html",
        },
        "consumes": _MEDIA_TYPES,
        "produces": _MEDIA_TYPES,
        "paths": {
            "/": _ROOT,
            **{f"/{table.name}": tables.path(table) for table in shown},
            **{f"/rpc/{function.name}": functions.path(function) for function in callable_},
        },
        "definitions": {table.name: tables.definition(catalogue, table) for table in shown},
        "parameters": {
            **{name: _preference(values) for name, values in _PREFERENCES.items()},
            **{key: _parameter(*words) for key, words in _OTHERS.items()},
            **{key: made for table in shown for key, made in tables.parameters(table)},
        },
        "securityDefinitions": {
            "JWT": {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "description": 'Add the token prepending "Bearer " (without quotes) to it',
            }
        },
        "security": [{"JWT": []}],
    }


_ROOT: Schema = {
    "get": {
        "tags": ["Introspection"],
        "summary": "OpenAPI description (this document)",
        "produces": ["application/openapi+json", "application/json"],
        "responses": {"200": {"description": "OK"}},
    }
}


def _preference(values: list[str]) -> Schema:
    found: Schema = {"name": "Prefer", "description": "Preference", "required": False, "in": "header"}
    return {**found, "type": "string", **({"enum": values} if values else {})}


def _parameter(name: str, description: str, place: str) -> Schema:
    found: Schema = {"name": name, "description": description, "required": False, "in": place, "type": "string"}
    return {**found, "default": "items"} if name == "Range-Unit" else found
