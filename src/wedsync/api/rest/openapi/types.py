"""PostgreSQL's types in the words of OpenAPI 2.0."""

import json
from typing import Final

Schema = dict[str, object]

_TYPES: Final = {
    "character varying": "string",
    "character": "string",
    "text": "string",
    "boolean": "boolean",
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "numeric": "number",
    "real": "number",
    "double precision": "number",
    "json": None,
    "jsonb": None,
}
_FORMATS: Final = {"smallint": "int32", "integer": "int32", "bigint": "int64"}


def type_of(name: str) -> str | None:
    """The JSON type of values; `None` where it may be any."""
    return _TYPES.get(name, "array" if name.endswith("[]") else "string")


def format_of(name: str) -> str:
    """OpenAPI's format, or else PostgreSQL's own name of the type."""
    return _FORMATS.get(name, name)


def value(name: str) -> Schema:
    """The schema of a value in a body."""
    found: Schema = {"format": format_of(name)}
    if (kind := type_of(name)) is not None:
        found["type"] = kind
    if kind == "array":
        inner = type_of(name.removesuffix("[]"))
        found["items"] = {"type": inner} if inner is not None else {}
    return found


def default_value(name: str, expression: str) -> object:
    """The default of a column as a JSON value, `None` if it is none: `nextval(…)` of a number."""
    if type_of(name) == "string":
        return expression.removesuffix(f"::{name}").strip("'")
    try:
        return json.loads(expression)
    except ValueError:
        return None


def titled(comment: str | None) -> Schema:
    """`summary` is a comment's first line, `description` what follows it."""
    first, _, rest = (comment or "").partition("\n")
    found: Schema = {}
    if first:
        found["summary"] = first
    if rest.lstrip("\n"):
        found["description"] = rest.lstrip("\n")
    return found
