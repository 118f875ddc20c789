"""What the catalogue does not have, or has twice: PGRST200 to PGRST205, with the names that come near."""

from collections.abc import Iterable, Sequence

from wedsync.api.rest.errors.near import LIKELY, POSSIBLE, nearest
from wedsync.api.rest.errors.problem import Problem, RestError
from wedsync.database.catalogue import Catalogue, Function, Relationship

_UNNAMED = {"text/plain": "text", "text/xml": "xml", "application/octet-stream": "bytea"}
"""Bodies that go to a function's single unnamed parameter, as they are."""


def relationship_not_found(
    catalogue: Catalogue, schema: str, parent: str, child: str, *, hint: str | None = None
) -> RestError:
    """Nothing leads from `parent` to `child`, or nothing by the way that `hint` (`child!hint`) names."""
    by_hint = f"' using the hint '{hint}" if hint is not None else ""
    return _error(
        400,
        "PGRST200",
        f"Could not find a relationship between '{parent}' and '{child}' in the schema cache",
        f"Searched for a foreign key relationship between '{parent}' and '{child}{by_hint}' in the schema "
        f"'{schema}', but no matches were found.",
        _related(catalogue, schema, parent, child),
    )


def relationship_ambiguous(parent: str, child: str, found: Sequence[Relationship]) -> RestError:
    """Several ways lead from `parent` to `child`: each is described, and how to choose it."""
    choices = ", ".join(
        f"'{way.target[1]}!{way.junction.table[1] if way.junction else way.constraint}'" for way in found
    )
    return _error(
        300,
        "PGRST201",
        f"Could not embed because more than one relationship was found for '{parent}' and '{child}'",
        [_described(way) for way in found],
        f"Try changing '{child}' to one of the following: {choices}. "
        "Find the desired relationship in the 'details' key.",
    )


def function_not_found(
    catalogue: Catalogue,
    schema: str,
    name: str,
    arguments: Iterable[str],
    *,
    posted: str | None = None,
) -> RestError:
    """No function of that name takes these arguments; `posted` is the media type of a body, `None` with GET."""
    given = sorted(set(arguments))
    single = _UNNAMED.get(posted or "")
    called = f"{schema}.{name}"
    if single:
        message, searched = called, f"{called} with a single unnamed {single} parameter"
    elif given:
        message = f"{called}({', '.join(given)})"
        searched = f"{called} with parameter{'s' if len(given) > 1 else ''} {', '.join(given)}"
    else:
        message = searched = f"{called} without parameters"
    if posted == "application/json":
        searched += " or with a single unnamed json/jsonb parameter"
    return _error(
        404,
        "PGRST202",
        f"Could not find the function {message} in the schema cache",
        f"Searched for the function {searched}, but no matches were found in the schema cache.",
        None if single else _callable(catalogue, schema, name, given),
    )


def function_ambiguous(found: Sequence[Function]) -> RestError:
    """Several overloads take the arguments that were given."""
    candidates = ", ".join(
        f"{function.schema}.{function.name}("
        + ", ".join(f"{parameter.name} => {parameter.type}" for parameter in function.parameters)
        + ")"
        for function in found
    )
    return _error(
        300,
        "PGRST203",
        f"Could not choose the best candidate function between: {candidates}",
        None,
        "Try renaming the parameters or the function itself in the database so function overloading "
        "can be resolved",
    )


def column_not_found(table: str, column: str) -> RestError:
    """`columns` or `on_conflict`, or a body's key, names what the table does not have."""
    return _error(
        400, "PGRST204", f"Could not find the '{column}' column of '{table}' in the schema cache", None, None
    )


def table_not_found(catalogue: Catalogue, schema: str, name: str) -> RestError:
    """The schema has no table or view of that name."""
    near = nearest(name, (own for of, own in catalogue.tables if of == schema), at_least=LIKELY)
    return _error(
        404,
        "PGRST205",
        f"Could not find the table '{schema}.{name}' in the schema cache",
        None,
        None if near is None else f"Perhaps you meant the table '{schema}.{near}'",
    )


def _related(catalogue: Catalogue, schema: str, parent: str, child: str) -> str | None:
    """The child that was meant, or if the parent has no relations at all, the parent."""
    ways = [way for way in catalogue.relationships.get((schema, parent), ()) if way.target[0] == schema]
    if ways:
        children = {way.function[1] if way.function else way.target[1] for way in ways}
        near = None if child in children else nearest(child, sorted(children), at_least=POSSIBLE)
        return None if near is None else f"Perhaps you meant '{near}' instead of '{child}'."
    parents = sorted(name for of, name in catalogue.relationships if of == schema)
    near = nearest(parent, parents, at_least=POSSIBLE)
    return None if near is None else f"Perhaps you meant '{near}' instead of '{parent}'."


def _callable(catalogue: Catalogue, schema: str, name: str, given: Sequence[str]) -> str | None:
    """The function that was meant, or the arguments of one of that name."""
    overloads = catalogue.functions.get((schema, name), ())
    if overloads:
        lists = [_listed(parameter.name for parameter in function.parameters) for function in overloads]
        near = nearest(_listed(given), lists, at_least=POSSIBLE)
        meant = None if near is None else f"{name}{near}"
    else:
        meant = nearest(name, (own for of, own in catalogue.functions if of == schema), at_least=LIKELY)
    return None if meant is None else f"Perhaps you meant to call the function {schema}.{meant}"


def _listed(names: Iterable[str]) -> str:
    return f"({', '.join(sorted(names))})"


def _described(way: Relationship) -> dict[str, str]:
    source, target = way.source[1], way.target[1]
    if way.junction is not None:
        own = ", ".join(column for _, column in way.junction.source_columns)
        other = ", ".join(column for column, _ in way.junction.target_columns)
        by = (
            f"{way.junction.table[1]} using {way.junction.source_constraint}({own})"
            f" and {way.junction.target_constraint}({other})"
        )
    else:
        own = ", ".join(column for column, _ in way.columns)
        other = ", ".join(column for _, column in way.columns)
        by = f"{way.constraint} using {source}({own}) and {target}({other})"
    return {"cardinality": way.cardinality.value, "embedding": f"{source} with {target}", "relationship": by}


def _error(status: int, code: str, message: str, details: object, hint: str | None) -> RestError:
    return RestError(Problem(status=status, code=code, message=message, details=details, hint=hint))
