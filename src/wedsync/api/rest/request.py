"""A request as the data API understands it: what it is about, and what its plan depends on."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from wedsync.api.rest.errors import (
    method_not_for_function,
    method_unsupported,
    path_invalid,
    schema_not_exposed,
)
from wedsync.api.rest.headers import Headers
from wedsync.api.rest.payload import Content
from wedsync.database.catalogue import Catalogue


class Action(StrEnum):
    """What a request does."""

    READ = "read"
    INSERT = "insert"
    UPDATE = "update"
    PUT = "put"
    DELETE = "delete"
    CALL = "call"
    DESCRIBE = "describe"
    """The root: what there is, as OpenAPI."""
    OPTIONS = "options"


_OF_TABLE = {
    "GET": Action.READ,
    "HEAD": Action.READ,
    "POST": Action.INSERT,
    "PATCH": Action.UPDATE,
    "PUT": Action.PUT,
    "DELETE": Action.DELETE,
    "OPTIONS": Action.OPTIONS,
}
_OF_FUNCTION = {"GET": Action.CALL, "HEAD": Action.CALL, "POST": Action.CALL, "OPTIONS": Action.OPTIONS}
_OF_ROOT = {"GET": Action.DESCRIBE, "HEAD": Action.DESCRIBE, "OPTIONS": Action.OPTIONS}
_WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})
WITH_BODY = frozenset({"POST", "PATCH", "PUT"})
"""Methods whose body is read."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a path and a method name."""

    action: Action
    table: str | None = None
    function: str | None = None


@lru_cache(maxsize=2048)
def target_of(method: str, path: str) -> Target:
    """What is asked for; `path` is decoded and without the prefix. Raises PGRST101, PGRST117 or PGRST125."""
    names = path.strip("/").split("/") if path.strip("/") else []
    match names:
        case []:
            action = _OF_ROOT.get(method)
        case ["rpc", name]:
            action = _OF_FUNCTION.get(method)
            if action is None:
                raise method_not_for_function(method)
            return Target(action, function=name)
        case [name]:
            action = _OF_TABLE.get(method)
            if action is not None:
                return Target(action, table=name)
        case _:
            raise path_invalid()
    if action is None:
        raise method_unsupported(method)
    return Target(action)


@dataclass(frozen=True, slots=True)
class Profile:
    """The exposed schema that a request means."""

    schema: str
    is_told: bool
    """Whether the answer names it: the request did, or there are several."""


def profile_of(method: str, headers: Headers, catalogue: Catalogue) -> Profile:
    """The schema by `Accept-Profile`, or by `Content-Profile` of what writes. Raises PGRST106."""
    named = headers.content_profile if method in _WRITES else headers.accept_profile
    if named is None:
        return Profile(catalogue.schemas[0], len(catalogue.schemas) > 1)
    if named not in catalogue.schemas:
        raise schema_not_exposed(named, catalogue.schemas)
    return Profile(named, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a plan is made from, besides the catalogue."""

    method: str
    target: Target
    profile: Profile
    shape_key: str
    headers: Headers
    content: Content | None
    may_see_plans: bool
