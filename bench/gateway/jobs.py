"""The three jobs, and how each kind of server is asked for them."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ground import CALLERS, ROWS_OF_EACH, token

COLUMNS = "id,title,body,done,created_at"
PAGE = 20
NOTE = {"title": "A note", "body": "What somebody wrote down about the day, and a little more"}
_OBJECT = "application/vnd.pgrst.object+json"


class Job(StrEnum):
    """What a request does."""

    LIST = "list"
    ONE = "one"
    INSERT = "insert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self, caller: int) -> bytes:
        """As it is sent by this caller."""
        body = b"" if self.body is None else json.dumps(self.body).encode()
        headers = {"Host": "127.0.0.1", "Authorization": f"Bearer {token(caller)}", **self.headers}
        if self.body is not None:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{head}\r\n".encode() + body


Ask = Callable[[Job, int], Request]
"""The request for a job; the number is the row to read."""
Rows = Callable[[Any], Sequence[Mapping[str, Any]]]
"""The rows of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How to ask, and where the rows are in an answer."""

    ask: Ask
    rows: Rows
    key: str = "id"


def requests(dialect: Dialect, job: Job, *, number: int = 1000) -> list[tuple[int, Request]]:
    """Requests of all callers by turns; the same ones for everybody, for the seed is."""
    rng = random.Random(7)
    return [
        (at % CALLERS, dialect.ask(job, 100 * rng.randrange(1, ROWS_OF_EACH) + at % CALLERS))
        for at in range(number)
    ]


def _rest(prefix: str) -> Ask:
    def ask(job: Job, row: int) -> Request:
        match job:
            case Job.LIST:
                return Request(method="GET", path=f"{prefix}?select={COLUMNS}&order=id.desc&limit={PAGE}")
            case Job.ONE:
                return Request(
                    method="GET", path=f"{prefix}?select={COLUMNS}&id=eq.{row}", headers={"Accept": _OBJECT}
                )
            case Job.INSERT:
                return Request(
                    method="POST",
                    path=f"{prefix}?select={COLUMNS}",
                    body=NOTE,
                    headers={"Accept": _OBJECT, "Prefer": "return=representation"},
                )

    return ask


def _plain(job: Job, row: int) -> Request:
    match job:
        case Job.LIST:
            return Request(method="GET", path=f"/notes?limit={PAGE}")
        case Job.ONE:
            return Request(method="GET", path=f"/notes/{row}")
        case Job.INSERT:
            return Request(method="POST", path="/notes", body=NOTE)


_FIELDS = "rowId title body done createdAt"


def _graphql(job: Job, row: int) -> Request:
    variables: dict[str, object]
    match job:
        case Job.LIST:
            notes = f"notes: allNotes(first: $n, orderBy: ROW_ID_DESC) {{ nodes {{ {_FIELDS} }} }}"
            query = f"query L($n: Int!) {{ {notes} }}"
            variables = {"n": PAGE}
        case Job.ONE:
            query = f"query O($id: BigInt!) {{ notes: noteByRowId(rowId: $id) {{ {_FIELDS} }} }}"
            variables = {"id": str(row)}
        case Job.INSERT:
            made = f"notes: createNote(input: {{note: $n}}) {{ note {{ {_FIELDS} }} }}"
            query = f"mutation I($n: NoteInput!) {{ {made} }}"
            variables = {"n": NOTE}
    return Request(method="POST", path="/graphql", body={"query": query, "variables": variables})


def _listed(answer: Any) -> Sequence[Mapping[str, Any]]:
    return answer if isinstance(answer, list) else [answer]


def _graphql_rows(answer: Any) -> Sequence[Mapping[str, Any]]:
    notes = answer["data"]["notes"]
    return notes.get("nodes") or [notes.get("note") or notes]


REST = Dialect(ask=_rest("/rest/v1/notes"), rows=_listed)
PLAIN = Dialect(ask=_plain, rows=_listed)
GRAPHQL = Dialect(ask=_graphql, rows=_graphql_rows, key="rowId")
