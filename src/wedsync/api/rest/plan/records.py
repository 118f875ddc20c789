"""The request's body as rows: JSON becomes a record with the types of the columns that it fills."""

from collections.abc import Sequence
from dataclasses import dataclass

from wedsync.api.rest.plan.model import Body, Slot
from wedsync.api.rest.plan.sql import NOTHING, Sql, compose, constant, identifier, joined, known_type, parameter

GIVEN = "wedsync_given"
"""What the body's rows are called."""
BODY = Slot(Body())


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of the body's objects."""

    name: str
    type: str
    default: str | None = None
    """What it is where an object does not have it; `None`: null."""


def records(members: Sequence[Member], *, is_object: bool, one: bool = False) -> Sql:
    """`(…) as wedsync_given`: a row for each object of the body, for the first one at the most with `one`.

    Without members there are rows without columns, as many as there are objects.
    """
    limit = compose(" limit 1") if one and not is_object else NOTHING
    if not members:
        rows = compose("(values (1)) as one (n)")
        if not is_object:
            rows = compose("json_array_elements({}::json) as one", parameter(BODY))
        return compose("(select from {}{}) as {}", rows, limit, identifier(GIVEN))
    if any(member.default is not None for member in members):
        form, source = compose("jsonb"), _with_defaults(members, is_object=is_object)
    else:
        form, source = compose("json"), compose("{}::json", parameter(BODY))
    names = joined(", ", [compose("{} {}", identifier(each.name), known_type(each.type)) for each in members])
    call = compose("{}_to_record({})" if is_object else "{}_to_recordset({})", form, source)
    return compose("(select * from {} as one ({}){}) as {}", call, names, limit, identifier(GIVEN))


def _with_defaults(members: Sequence[Member], *, is_object: bool) -> Sql:
    pairs = [
        compose("{}::text, {}", constant(each.name), known_type(each.default))
        for each in members
        if each.default is not None
    ]
    defaults = compose("jsonb_build_object({})", joined(", ", pairs))
    body = parameter(BODY)
    if is_object:
        return compose("({} || {}::jsonb)", defaults, body)
    return compose(
        "(select jsonb_agg({} || each.value) from jsonb_array_elements({}::jsonb) as each)", defaults, body
    )
