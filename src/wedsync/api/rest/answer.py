"""From a result to an answer: status, headers, body."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

import msgspec

from wedsync.api.rest.errors import (
    Problem,
    not_singular,
    range_past_end,
    response_headers_malformed,
    response_status_malformed,
)
from wedsync.api.rest.prepared import Header, Prepared
from wedsync.api.rest.query import Shape
from wedsync.api.rest.request import Action
from wedsync.database.pipeline import Result

Row = tuple[bytes | None, ...]
_SHORT = 1_024
_BREAKS = frozenset("\r\n\0")


@dataclass(slots=True)
class Answer:
    """What is sent."""

    status: int
    headers: list[Header]
    body: bytes

    @classmethod
    def of_problem(cls, problem: Problem) -> "Answer":
        """An error."""
        return cls(problem.status, problem.answer_headers(), problem.body())


def answer_of(prepared: Prepared, results: list[Result], shape: Shape, query: bytes) -> Answer:
    """The answer to a request whose statements ran. Raises `RestError`."""
    plan = prepared.plan
    if plan is None:
        return Answer(200, [*prepared.headers, *prepared.body_headers], prepared.body)
    result = results[0]
    if plan.is_explained:
        lines = b"\n".join(row[0] or b"" for row in result.rows)
        return Answer(200, [*prepared.headers, *prepared.body_headers], lines)
    row = result.rows[0]
    answer = _read(prepared, row, results, shape, query) if not plan.writes else _written(prepared, row)
    if row[3] is None and row[4] is None:
        return answer
    return _changed(answer, row[3], row[4])


def _read(prepared: Prepared, row: Row, results: list[Result], shape: Shape, query: bytes) -> Answer:
    """Of a table that was read, or a function that was called."""
    rows = int(row[1] or 0)
    if prepared.one_object and rows != 1:
        raise not_singular(rows)
    total = _total(prepared, row, results)
    first = shape.offset
    status = 200
    if total is not None:
        if first > total:
            status = 416
        elif rows < total:
            status = 206
    in_range = b"%d-%d" % (first, first + rows - 1) if rows and total != 0 else b"*"
    headers = [
        (b"content-range", b"%s/%s" % (in_range, b"*" if total is None else b"%d" % total)),
        *prepared.headers,
    ]
    if prepared.action is Action.READ:
        headers.append((b"content-location", _own_address(prepared.address, query)))
    if not prepared.has_body:
        return Answer(204, headers, b"")
    headers += prepared.body_headers
    body = range_past_end(first, total or 0).body() if status == 416 else _body(prepared, row)
    return Answer(status, headers, body)


def _written(prepared: Prepared, row: Row) -> Answer:
    rows = int(row[1] or 0)
    headers = list(prepared.headers)
    told = b"%d" % rows if prepared.tells_total else b"*"
    body = b""
    if prepared.has_body:
        headers += prepared.body_headers
        body = _body(prepared, row)
    inserted = rows if row[6] is None else int(row[6])
    match prepared.action:
        case Action.INSERT:
            headers.append((b"content-range", b"*/" + told))
            location = row[5]
            if location is not None:
                headers.append((b"location", _location(prepared.address, location)))
            status = 200 if prepared.merges and inserted <= 0 else 201
            return Answer(status, headers, body)
        case Action.UPDATE:
            in_range = b"0-%d" % (rows - 1) if rows else b"*"
            headers.append((b"content-range", in_range + b"/" + told))
            status = 200 if prepared.has_body else 204
        case Action.DELETE:
            headers.append((b"content-range", b"*/" + told))
            status = 200 if prepared.has_body else 204
        case _:
            status = (201 if inserted > 0 else 200) if prepared.has_body else 204
    return Answer(status, headers, body)


def _total(prepared: Prepared, row: Row, results: list[Result]) -> int | None:
    total = None if row[2] is None else int(row[2])
    estimate = prepared.plan.estimate if prepared.plan else None
    if estimate is None or len(results) < 2:
        return total
    if total is not None and estimate.above is not None and total <= estimate.above:
        return total
    planned = int(msgspec.json.decode(results[1].rows[0][0] or b"[]")[0]["Plan"]["Plan Rows"])
    return planned if total is None else max(planned, total)


def _body(prepared: Prepared, row: Row) -> bytes:
    body = row[0] or b""
    if prepared.plan is None or not prepared.plan.is_marked:
        return body
    return bytes.fromhex(body[1:].decode()) if body.startswith(b"b") else body[1:]


def _own_address(address: bytes, query: bytes) -> bytes:
    """The address of what was read, with its parameters in the order of their names."""
    return _known_address(address, query) if len(query) <= _SHORT else _address(address, query)


def _address(address: bytes, query: bytes) -> bytes:
    if not query:
        return address
    if b"&" in query:
        query = b"&".join(sorted(query.split(b"&"), key=_parameter_name))
    return b"%s?%s" % (address, query)


_known_address = lru_cache(maxsize=4096)(_address)


def _parameter_name(part: bytes) -> bytes:
    return part.partition(b"=")[0]


def _location(address: bytes, pairs: bytes) -> bytes:
    """The address of the row that was inserted."""
    key: list[tuple[str, str | None]] = msgspec.json.decode(pairs)
    conditions = (
        f"{quote(column, safe='')}={quote('is.null' if value is None else f'eq.{value}', safe='')}"
        for column, value in key
    )
    return address + b"?" + "&".join(conditions).encode()


def _changed(answer: Answer, headers: bytes | None, status: bytes | None) -> Answer:
    """What a function said with `response.headers` and `response.status` takes precedence."""
    own = answer.headers
    if headers is not None:
        given = _given_headers(headers)
        named = {name for name, _ in given}
        own = [*(header for header in own if header[0] not in named), *given]
    if status is None:
        return Answer(answer.status, own, answer.body)
    if not status.isdigit() or not 200 <= int(status) <= 599:
        raise response_status_malformed()
    return Answer(int(status), own, answer.body)


def _given_headers(text: bytes) -> list[Header]:
    try:
        lists = msgspec.json.decode(text, type=list[dict[str, str]])
    except msgspec.DecodeError:
        raise response_headers_malformed() from None
    pairs = [pair for one in lists for pair in one.items() if len(one) == 1]
    if len(pairs) != len(lists) or not _BREAKS.isdisjoint("".join(name + value for name, value in pairs)):
        raise response_headers_malformed()
    return [(name.lower().encode("latin-1", "replace"), value.encode("utf-8")) for name, value in pairs]
