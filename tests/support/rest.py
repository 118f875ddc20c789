"""Cases of the data API: a request, and what has to come back."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from support.databases import fresh_database
from support.plans import Refused, run_read
from wedsync.api.rest.errors import RestError
from wedsync.api.rest.plan import Reading
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.database.catalogue import Catalogue, load_catalogue

SCHEMA = Path(__file__).parent.parent / "integration" / "rest" / "schema.sql"
SCHEMAS = ("planner", "studio")
EXTRA = ("library",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """A database with the schema of the cases, that nobody writes to."""

    target: ConnectionTarget
    """As its owner."""
    catalogue: Catalogue = field(repr=False)


@asynccontextmanager
async def season_database(server: Server) -> AsyncIterator[Season]:
    """The database, made anew."""
    async with fresh_database(server) as target:
        async with await target.connect() as connection:
            await connection.execute(SCHEMA.read_bytes())
            catalogue = await load_catalogue(connection, SCHEMAS, extra_search_path=EXTRA)
        yield Season(target=target, catalogue=catalogue)


async def enter_schema(connection: AsyncConnection[TupleRow], schema: str = "planner") -> None:
    """See what a request sees."""
    path = ", ".join((schema, *EXTRA))
    await connection.execute("select set_config('search_path', %s, false)", (path,))


@dataclass(frozen=True, slots=True)
class Case:
    """One request and its answer."""

    name: str
    request: str
    """`GET /guests?id=eq.1`, percent-encoded where it has to be."""
    body: Any = None
    """The answer's body as JSON; `...` where it does not matter."""
    status: int = 200
    headers: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    """Of the answer; `None`: it has none of that name."""
    sends: Any = None
    """The request's body, as JSON; bytes as they are."""
    with_headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def method(self) -> str:
        """The verb."""
        return self.request.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path with the query."""
        return self.request.partition(" ")[2]

    @property
    def payload(self) -> bytes:
        """What is sent."""
        if self.sends is None:
            return b""
        return self.sends if isinstance(self.sends, bytes) else json.dumps(self.sends).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Api:
    """Asks the data API of a season."""

    def __init__(self, connection: AsyncConnection[TupleRow], season: Season) -> None:
        self._connection = connection
        self._reading = Reading(catalogue=season.catalogue, schema="planner")

    async def ask(self, case: Case) -> Answer:
        path, _, query = case.path.partition("?")
        try:
            read = run_read(self._connection, self._reading, unquote(path[1:]), query.encode())
        except RestError as error:
            problem = error.problem
            body = {
                "code": problem.code,
                "message": problem.message,
                "details": problem.details,
                "hint": problem.hint,
            }
            return Answer(status=problem.status, body=body, headers={})
        except Refused as error:
            return Answer(status=400, body={"code": error.sqlstate, "message": error.message}, headers={})
        return Answer(status=200, body=read.rows, headers={})


async def check(api: Api, case: Case) -> None:
    """The answer is as the case says; of an error's body, the members that the case names."""
    answer = await api.ask(case)
    assert answer.status == case.status, answer.body
    if case.body is not ... and case.status < 300:
        assert answer.body == case.body, answer.body
    elif case.body is not ...:
        assert {member: answer.body.get(member) for member in case.body} == case.body, answer.body
    for name, value in case.headers.items():
        assert answer.headers.get(name) == value, name
