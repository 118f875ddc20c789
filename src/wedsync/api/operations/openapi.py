"""The OpenAPI 3.1 document of the operations API, from the table that the router is made of."""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from wedsync.api.operations.operation import AnyOperation, Failure

_REFS = "#/components/schemas/{name}"
_EVERYWHERE = {
    400: "The request is not what this takes, or the database refused it.",
    401: "No token, or one that does not hold.",
    403: "The token is not an administrator's.",
    500: "A mistake in the program; the log says which.",
    503: "The database takes no connections.",
}
_MORE_BODY = {413: "The body is too large."}
_MORE_SENSITIVE = {429: "More than five calls within a minute; `Retry-After` says when to come again."}
_MORE_KEY = {
    409: "Something else is under way, among it a call with the same `Idempotency-Key`.",
    422: "The `Idempotency-Key` came before with another request.",
}


def openapi(operations: Sequence[AnyOperation], *, version: str) -> dict[str, Any]:
    """The document: every operation, every struct."""
    schemas, components = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "WedSync operations API",
            "version": version,
            "description": "What an operator does on the command line, over HTTP. For administrators: "
            "`Authorization: Bearer` with the service_role key (`wedsync keys`).",
        },
        "servers": [{"url": "/api"}],
        "security": [{"administrator": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "administrator": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
            "schemas": components,
        },
    }


def _schemas(operations: Iterable[AnyOperation]) -> tuple[Mapping[object, Any], dict[str, Any]]:
    """The schema of each struct by the struct (of a place: whole), and all that are referred to, by name."""
    kinds: dict[object, None] = {Failure: None}
    for operation in operations:
        for kind in (operation.place, operation.body, *operation.answers.values()):
            if kind is not type(None):
                kinds[kind] = None
    found, components = msgspec.json.schema_components(kinds, ref_template=_REFS)
    by_kind: dict[object, Any] = dict(zip(kinds, found, strict=True))
    for place in {operation.place for operation in operations}:
        by_kind[place] = components.pop(by_kind[place]["$ref"].rpartition("/")[2])
    return by_kind, components


def _operation(operation: AnyOperation, schemas: Mapping[object, Any]) -> dict[str, Any]:
    refusals = {
        **_EVERYWHERE,
        **(_MORE_BODY if operation.writes else {}),
        **(_MORE_SENSITIVE if operation.sensitive else {}),
        **(_MORE_KEY if operation.takes_key else {}),
        **operation.refusals,
    }
    responses = {
        str(status): {
            "description": refusals.get(status, HTTPStatus(status).phrase),
            "content": _json(schemas[operation.answers.get(status, Failure)]),
        }
        for status in sorted({*operation.answers, *refusals})
    }
    made: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [*_parameters(operation, schemas[operation.place])],
        "responses": responses,
    }
    if operation.body is not type(None):
        made["requestBody"] = {"required": True, "content": _json(schemas[operation.body])}
    return made


def _parameters(operation: AnyOperation, schema: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    in_path = set(re.findall(r"{(\w+)}", operation.path))
    for name, kind in schema.get("properties", {}).items():
        yield {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in schema.get("required", ()),
            "schema": {key: value for key, value in kind.items() if key != "description"},
            **({"description": kind["description"]} if "description" in kind else {}),
        }
    if operation.takes_key:
        yield {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "The same key gets the same answer for a day, and what was asked for is done once.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }


def _json(schema: object) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
