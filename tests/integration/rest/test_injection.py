"""Whatever a client writes into a query becomes quoted identifiers and parameters, and reads what it may."""

import re
import string
from collections.abc import Iterator
from urllib.parse import quote_plus

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from support.plans import Refused, run_read
from support.rest import EXTRA
from support.rest_app import Desk
from wedsync.api.rest.errors import RestError
from wedsync.api.rest.plan import Reading, plan_read
from wedsync.api.rest.query import parse, shape_of

SECRET = "swordfish"
ATTACKS = [
    "'; drop table planner.guests; --",
    '"; drop table planner.guests; --',
    '" from library.secrets --',
    ") union select word from library.secrets --",
    "1 or 1=1",
    "' or ''='",
    "\\'; select 1; --",
    "$$;delete from planner.guests;$$",
    "x::text from library.secrets",
    "pg_sleep(10)",
    "(select word from library.secrets)",
    "null; set role postgres",
    "/* */",
    "--",
    "$1",
    "${1}",
    "{}",
    "%s",
    "?",
]
PIECES = st.lists(
    st.sampled_from(ATTACKS)
    | st.sampled_from(
        [*"'\"\\;()$-/*.,:!{}[]=<>", "id", "first_name", "guests", "select", "text", " ", "\n", "ü", "::"]
    )
    | st.text(string.ascii_lowercase, min_size=1, max_size=3),
    min_size=1,
    max_size=6,
).map("".join)
PLACES = [
    "select={}",
    "select=id,{}",
    "select=id::{}",
    "select={}:id",
    "select=id->>{}",
    "select=id,weddings({})",
    "select=id,weddings!{}(id)",
    "select=id,{}(id)",
    "select=id,{}:weddings(id)",
    "select=...weddings({}:id)",
    "select=id.{}()",
    "select={}:id.max()",
    "{}=eq.1",
    "id={}",
    "id=eq.{}",
    "first_name=eq.{}",
    "first_name=like.{}",
    "first_name=match.{}",
    "first_name=in.({})",
    "first_name=in.{}",
    "first_name=eq(any).{}",
    "first_name=fts({}).a",
    "first_name=fts.{}",
    "first_name=wfts(english).{}",
    "first_name=is.{}",
    "first_name=isdistinct.{}",
    "first_name->>{}=eq.1",
    "weddings.{}=eq.1&select=weddings(id)",
    "{}.id=eq.1&select=weddings(id)",
    "or=({})",
    "or=(first_name.eq.{},id.eq.1)",
    "or=({}.eq.1)",
    "and=(first_name.in.({}))",
    "order={}",
    "order=id.{}",
    "order=first_name->>{}",
    "order=weddings({})&select=id,weddings(id)",
    "limit={}",
    "offset={}",
    "weddings.limit={}&select=weddings(id)",
    "columns={}",
    "on_conflict={}",
]
NEVER = re.compile(r"42601|42P02|XX|57|0A|58|53")
"""Syntax errors, unknown parameters, faults of the server: signs of text that became syntax."""


@pytest.fixture(scope="module")
def reader(season: Desk) -> Iterator[Connection]:
    """A connection as one who may only read the schema, and whose table of secrets is beside it."""
    with psycopg.connect(season.owner.dsn(with_password=True), autocommit=True) as owner:
        owner.execute("create table if not exists library.secrets (word text)")
        owner.execute("truncate library.secrets")
        owner.execute("insert into library.secrets values (%s)", (SECRET,))
    with psycopg.connect(season.owner.dsn(with_password=True), autocommit=True) as connection:
        connection.execute("select set_config('search_path', %s, false)", (", ".join(("planner", *EXTRA)),))
        connection.execute("set statement_timeout = '5s'")
        yield connection


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=st.sampled_from(ATTACKS) | PIECES, quoted=st.booleans())
def test_text_never_becomes_syntax(place: str, text: str, quoted: bool, season: Desk, reader: Connection) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    query = place.format(quote_plus(f'"{escaped}"' if quoted else text)).encode()
    reading = Reading(catalogue=season.catalogue, schema="planner")
    try:
        read = run_read(reader, reading, "guests", query)
    except RestError as refused:
        assert refused.problem.status in {300, 400, 404, 416}
    except Refused as refused:
        assert not NEVER.match(refused.sqlstate) or _is_harmless(query.decode(), refused), (refused, query)
    else:
        assert SECRET not in str(read.rows)
    ((guests,),) = reader.execute("select count(*) from planner.guests").fetchall()
    assert guests == 6


def _is_harmless(query: str, refused: Refused) -> bool:
    """A text that is no full-text query, or (`id::select`) words that are no type."""
    return (
        refused.message.startswith(("syntax error in tsquery", "no operand in tsquery"))
        or "%3A%3A" in query
        or "::" in query
    )


@pytest.mark.parametrize("place", PLACES)
@given(text=PIECES)
def test_outside_of_quotes_is_nothing_of_the_clients(place: str, text: str, season: Desk) -> None:
    marked = f"zq{text}zq"
    try:
        sql = plan_read(
            parse(shape_of(place.format(quote_plus(marked)).encode()).key),
            season.catalogue.tables["planner", "guests"],
            Reading(catalogue=season.catalogue, schema="planner"),
        ).sql.decode()
    except RestError:
        return
    bare = re.sub(r'"(?:[^"]|"")*"', "", sql)
    if "::" not in place and "::" not in text:
        assert "zq" not in bare, sql
    assert re.fullmatch(r"[\w .,()*=<>~@&|:\[\]$'{}\-]*", bare), bare
    assert ";" not in bare
    assert "--" not in bare


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    words=st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12), max_size=8
    ),
    wanted=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
)
def test_a_value_finds_the_rows_that_have_it(
    words: list[str], wanted: str, season: Desk, reader: Connection
) -> None:
    reading = Reading(catalogue=season.catalogue, schema="planner")
    with reader.transaction(force_rollback=True):
        values = [*words, wanted]
        for number, word in enumerate(values):
            reader.execute("insert into planner.empty_table values (%s, %s)", (number, word))
        quoted = '"' + wanted.replace("\\", "\\\\").replace('"', '\\"') + '"'
        right = [{"id": number} for number, word in enumerate(values) if word == wanted]
        for condition in (
            f"word=eq.{quote_plus(wanted)}",
            f"word=in.({quote_plus(quoted)})",
            f"or=(word.eq.{quote_plus(quoted)},id.eq.-1)",
            f"or=(word.in.({quote_plus(quoted)},{quote_plus(quoted)}))",
            f"word=not.neq.{quote_plus(wanted)}",
            f"word=not.isdistinct.{quote_plus(wanted)}",
        ):
            read = run_read(reader, reading, "empty_table", f"select=id&order=id&{condition}".encode())
            assert read.rows == right, condition
