"""Functions in the description: `/rpc/name`, by POST, and by GET unless they are volatile."""

from wedsync.api.rest.openapi.tables import references
from wedsync.api.rest.openapi.types import Schema, format_of, titled, type_of, value
from wedsync.database.catalogue import Function, Parameter

_PRODUCES = [
    "application/json",
    "application/vnd.pgrst.object+json;nulls=stripped",
    "application/vnd.pgrst.object+json",
]


def path(function: Function) -> Schema:
    """How it is called."""
    said: Schema = {
        "tags": [f"(rpc) {function.name}"],
        **titled(function.description),
        "produces": _PRODUCES,
        "responses": {"200": {"description": "OK"}},
    }
    post: Schema = {**said, "parameters": [_body(function), *references("preferParams")]}
    if function.volatility == "v":
        return {"post": post}
    return {
        "get": {**said, "parameters": [_in_query(parameter) for parameter in function.parameters]},
        "post": post,
    }


def _body(function: Function) -> Schema:
    schema: Schema = {"type": "object"}
    if function.description:
        schema["description"] = function.description
    if function.parameters:
        schema["properties"] = {parameter.name: value(parameter.type) for parameter in function.parameters}
    required = [parameter.name for parameter in function.parameters if parameter.required]
    if required:
        schema["required"] = required
    return {"name": "args", "required": True, "in": "body", "schema": schema}


def _in_query(parameter: Parameter) -> Schema:
    kind = type_of(parameter.type) or "string"
    found: Schema = {"name": parameter.name, "required": parameter.required, "in": "query"}
    if parameter.variadic:
        inner = parameter.type.removesuffix("[]")
        items: Schema = {"type": type_of(inner) or "string", "format": format_of(inner)}
        return {**found, "type": kind, "collectionFormat": "multi", "items": items}
    # an array is written {…} in a query string
    return {**found, "type": "string" if kind == "array" else kind, "format": format_of(parameter.type)}
