"""Errors of the request itself: PGRST100 to PGRST128, in PostgREST's words."""

from collections.abc import Sequence

from wedsync.api.rest.errors.problem import Problem, RestError


def query_malformed(message: str, details: str | None = None) -> RestError:
    """A parameter of the query string cannot be read."""
    return _error(400, "PGRST100", message, details)


def method_not_for_function(method: str) -> RestError:
    """Functions are called by GET, HEAD and POST."""
    return _error(405, "PGRST101", f"Cannot use the {method} method on RPC")


def body_malformed(message: str) -> RestError:
    """The body is not what its content type says, or its objects have different keys."""
    return _error(400, "PGRST102", message)


def limit_negative() -> RestError:
    """`limit=-1`."""
    return _range_error("Limit should be greater than or equal to zero.")


def range_reversed() -> RestError:
    """`Range: 9-2`."""
    return _range_error(
        "The lower boundary must be lower than or equal to the upper boundary in the Range header."
    )


def range_past_end(offset: int, total: int) -> Problem:
    """The body of a 416; its headers are those of a read, `Content-Range` among them."""
    details = f"An offset of {offset} was requested, but there are only {total} rows."
    return _range_error(details).problem


def put_filters_wrong() -> RestError:
    """PUT names one row by its whole primary key, and by nothing else."""
    return _error(405, "PGRST105", "Filters must include all and only primary key columns with 'eq' operators")


def schema_not_exposed(name: str, exposed: Sequence[str]) -> RestError:
    """A profile names a schema that the data API does not show."""
    hint = f"Only the following schemas are exposed: {', '.join(exposed)}"
    return _error(406, "PGRST106", f"Invalid schema: {name}", hint=hint)


def media_type_unavailable(accepted: Sequence[str]) -> RestError:
    """Nothing that `Accept` names can be made of this."""
    return _error(406, "PGRST107", f"None of these media types are available: {', '.join(accepted)}")


def not_embedded(name: str, alias: str | None = None) -> RestError:
    """A filter, order or limit is for a relation that is not selected, or selected under an alias."""
    if alias is None:
        details, hint = None, f"Verify that '{name}' is included in the 'select' query parameter."
    else:
        details = "Target names are not allowed in filters if they have an alias"
        hint = f"Change '{name}' to '{alias}' in filters, orders or limits."
    return _error(400, "PGRST108", f"'{name}' is not an embedded resource in this request", details, hint)


def response_headers_malformed() -> RestError:
    """A function set `response.headers` to something else."""
    words = "response.headers guc must be a JSON array composed of objects with a single key and a string value"
    return _error(500, "PGRST111", words)


def response_status_malformed() -> RestError:
    """A function set `response.status` to something else."""
    return _error(500, "PGRST112", "response.status guc must be a valid status code")


def put_with_limit() -> RestError:
    """PUT with `limit` or `offset`."""
    return _error(400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT")


def put_key_mismatch() -> RestError:
    """The row of a PUT has another key than its address."""
    return _error(400, "PGRST115", "Payload values do not match URL in primary key column(s)")


def not_singular(rows: int) -> RestError:
    """One object was asked for."""
    message = "Cannot coerce the result to a single JSON object"
    return _error(406, "PGRST116", message, f"The result contains {rows} rows")


def method_unsupported(method: str) -> RestError:
    """No method of the data API."""
    return _error(405, "PGRST117", f"Unsupported HTTP method: {method}")


def related_order_not_to_one(origin: str, target: str) -> RestError:
    """Rows are ordered by a column of a relation that may have several rows."""
    return _error(
        400,
        "PGRST118",
        f"A related order on '{target}' is not possible",
        f"'{origin}' and '{target}' do not form a many-to-one or one-to-one relationship",
    )


def embedded_filter_unacceptable(target: str) -> RestError:
    """An embedded relation is compared with something."""
    details = "Only is null or not is null filters are allowed on embedded resources"
    return _error(400, "PGRST120", f"Bad operator on the '{target}' embedded resource", details)


def preferences_invalid(preferences: Sequence[str]) -> RestError:
    """`Prefer: handling=strict` with preferences that nobody knows."""
    details = f"Invalid preferences: {', '.join(preferences)}"
    return _error(400, "PGRST122", "Invalid preferences given with handling=strict", details)


def aggregates_not_allowed() -> RestError:
    """Aggregates are switched off."""
    return _error(400, "PGRST123", "Use of aggregate functions is not allowed")


def max_affected_exceeded(rows: int) -> RestError:
    """`Prefer: max-affected`; the write is undone."""
    message = "Query result exceeds max-affected preference constraint"
    return _error(400, "PGRST124", message, f"The query affects {rows} rows")


def path_invalid() -> RestError:
    """No table, no function: something else."""
    return _error(404, "PGRST125", "Invalid path specified in request URL")


def openapi_disabled() -> RestError:
    """The root shows nothing."""
    return _error(404, "PGRST126", "Root endpoint metadata is disabled")


def not_implemented(details: str) -> RestError:
    """Well-formed, and not supported."""
    return _error(400, "PGRST127", "Feature not implemented", details)


def max_affected_needs_set() -> RestError:
    """`Prefer: max-affected` with a function that does not give rows."""
    words = "Function must return SETOF or TABLE when max-affected preference is used with handling=strict"
    return _error(400, "PGRST128", words)


def _range_error(details: str) -> RestError:
    return _error(416, "PGRST103", "Requested range not satisfiable", details)


def _error(status: int, code: str, message: str, details: str | None = None, hint: str | None = None) -> RestError:
    return RestError(Problem(status=status, code=code, message=message, details=details, hint=hint))
