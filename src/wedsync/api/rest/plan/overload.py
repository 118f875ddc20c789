"""Which of the functions of one name is called, by the names of the arguments."""

from collections.abc import Collection

from wedsync.api.rest.errors import function_ambiguous, function_not_found
from wedsync.database.catalogue import Catalogue, Function

_WHOLE_BODY = {
    "application/json": frozenset({"json", "jsonb"}),
    "text/plain": frozenset({"text"}),
    "text/xml": frozenset({"xml"}),
    "application/octet-stream": frozenset({"bytea"}),
}
_NOT_READ = frozenset({"text/plain", "text/xml", "application/octet-stream"})


def function_for(
    catalogue: Catalogue, schema: str, name: str, arguments: Collection[str], *, posted: str | None
) -> Function:
    """The function that takes these arguments, or else the whole body; `posted` is the body's media type.

    Raises PGRST202 if there is none and PGRST203 if there are several.
    """
    candidates = catalogue.functions.get((schema, name), ())
    given = frozenset(arguments)
    by_name = [each for each in candidates if _takes(each, given, posted)]
    found = by_name or [each for each in candidates if takes_whole_body(each, posted)]
    if not found:
        raise function_not_found(catalogue, schema, name, arguments, posted=posted)
    if len(found) > 1:
        raise function_ambiguous(found)
    return found[0]


def takes_whole_body(function: Function, posted: str | None) -> bool:
    """Whether its one parameter has no name, and the type that such a body is handed over as."""
    if len(function.parameters) != 1 or function.parameters[0].name:
        return False
    return function.parameters[0].type in _WHOLE_BODY.get(posted or "", ())


def _takes(function: Function, given: frozenset[str], posted: str | None) -> bool:
    if not function.parameters:
        return not given and posted not in _NOT_READ
    required = {parameter.name for parameter in function.parameters if parameter.required}
    optional = {parameter.name for parameter in function.parameters if not parameter.required}
    return given >= required and given <= required | optional
