"""Error answers of the data API: PostgREST's codes, words, statuses and hints."""

from dataclasses import dataclass

import msgspec
import pytest

from wedsync.api.rest import errors
from wedsync.database.catalogue import Cardinality, Catalogue, Function, Junction, Parameter, Relationship, Table
from wedsync.errors import (
    CannotConnect,
    CatalogueNotLoaded,
    CommitUnknown,
    Overloaded,
    PipelineBroken,
    PoolTimeout,
    ResultTooLarge,
    ServerNotReady,
    WedsyncError,
)


@dataclass(frozen=True)
class Said:
    sqlstate: str
    message: str = "no"
    detail: str | None = None
    hint: str | None = None


def _table(name: str, schema: str = "api") -> Table:
    return Table(
        schema=schema,
        name=name,
        kind="r",
        columns={},
        primary_key=(),
        insertable=True,
        updatable=True,
        deletable=True,
    )


def _function(name: str, *parameters: str) -> Function:
    return Function(
        schema="api",
        name=name,
        parameters=tuple(Parameter(name=given, type="integer", required=True) for given in parameters),
        returns_set=False,
        returns_void=False,
        return_type="integer",
        returns_table=None,
        returns_composite=False,
        single_row=False,
        volatility="v",
    )


def _way(source: str, target: str, constraint: str = "fk", **more: object) -> Relationship:
    cardinality = more.pop("cardinality", Cardinality.MANY_TO_ONE)
    return Relationship(
        source=("api", source),
        target=("api", target),
        cardinality=cardinality,  # type: ignore[arg-type]
        constraint=constraint,
        columns=((f"{target}_id", "id"),),
        **more,  # type: ignore[arg-type]
    )


def _catalogue() -> Catalogue:
    tables = [_table(name) for name in ("weddings", "guests", "photo_groups")] + [_table("secrets", "hidden")]
    ways = {("api", "guests"): (_way("guests", "weddings"), _way("guests", "photo_groups"))}
    overloads = (_function("invite", "guest", "wedding"), _function("invite", "email"))
    return Catalogue(
        tables={table.id: table for table in tables},
        relationships=ways,
        functions={("api", "invite"): overloads, ("api", "seat"): (_function("seat"),)},
        computed_fields={},
        media_handlers={},
        time_zones=frozenset(),
        version_num=150000,
        has_postgis=False,
        fingerprint="",
        schemas=("api",),
    )


@pytest.mark.parametrize(
    ("sqlstate", "message", "status"),
    [
        ("08006", "", 503),
        ("09000", "", 500),
        ("0L000", "", 403),
        ("0P000", "", 403),
        ("23503", "", 409),
        ("23505", "", 409),
        ("23514", "", 400),
        ("25006", "", 405),
        ("25001", "", 500),
        ("21000", "more than one row returned by a subquery", 500),
        ("21000", "UPDATE requires a WHERE clause", 400),
        ("22023", 'role "nobody" does not exist', 401),
        ("22023", "invalid value for parameter", 400),
        ("22P02", "", 400),
        ("28000", "", 403),
        ("2D000", "", 500),
        ("38000", "", 500),
        ("39000", "", 500),
        ("3B000", "", 500),
        ("40001", "", 500),
        ("40P01", "", 500),
        ("53300", "", 503),
        ("53400", "", 500),
        ("54001", "", 500),
        ("55P03", "", 500),
        ("57P01", "", 503),
        ("57014", "", 500),
        ("58030", "", 500),
        ("F0000", "", 500),
        ("HV000", "", 500),
        ("P0001", "", 400),
        ("P0002", "", 500),
        ("XX000", "", 500),
        ("42883", "function no_such(integer) does not exist", 404),
        ("42883", "function xmlagg(integer) does not exist", 406),
        ("42P01", "", 404),
        ("42P17", "", 500),
        ("42703", "", 400),
        ("PT402", "pay first", 402),
        ("PT40A", "", 500),
        ("PT999", "no status of HTTP", 500),
    ],
)
def test_sqlstate_says_the_status(sqlstate: str, message: str, status: int) -> None:
    said = Said(sqlstate, message, "more", "next")
    problem = errors.refused(said, is_anonymous=False)
    assert (problem.status, problem.code, problem.message) == (status, sqlstate, message)
    assert (problem.details, problem.hint) == ("more", "next")


@pytest.mark.parametrize(("is_anonymous", "status"), [(True, 401), (False, 403)])
def test_who_may_not_is_asked_to_sign_in_only_if_anonymous(is_anonymous: bool, status: int) -> None:
    problem = errors.refused(Said("42501", "permission denied for table guests"), is_anonymous=is_anonymous)
    assert problem.status == status
    assert ("WWW-Authenticate" in problem.headers) == is_anonymous


def test_a_function_writes_its_own_answer() -> None:
    said = Said(
        "PGRST",
        '{"code": "W42", "message": "full", "details": "80 seats", "hint": "another table"}',
        '{"status": 418, "headers": {"X-Seats": "80"}}',
    )
    problem = errors.refused(said, is_anonymous=True)
    assert problem == errors.Problem(
        status=418, code="W42", message="full", details="80 seats", hint="another table", headers={"X-Seats": "80"}
    )


@pytest.mark.parametrize(
    ("message", "detail", "details"),
    [
        ("full", "{}", "Invalid JSON value for MESSAGE: 'full'"),
        ('{"code": "1"}', "{}", 'Invalid JSON value for MESSAGE: \'{"code": "1"}\''),
        ('{"code": "1", "message": ""}', "no", "Invalid JSON value for DETAIL: 'no'"),
        ('{"code": "1", "message": ""}', '{"status": 400}', "Invalid JSON value for DETAIL: '{\"status\": 400}'"),
        ('{"code": "1", "message": ""}', None, "DETAIL is missing in the RAISE statement"),
    ],
)
def test_an_answer_that_a_function_wrote_wrongly_is_a_500(message: str, detail: str | None, details: str) -> None:
    problem = errors.refused(Said("PGRST", message, detail), is_anonymous=False)
    assert (problem.status, problem.code, problem.details) == (500, "PGRST121", details)


def test_the_body_has_the_four_fields_in_order_of_the_alphabet() -> None:
    problem = errors.refused(Said("57014", "canceling statement due to statement timeout"), is_anonymous=False)
    assert problem.body() == (
        b'{"code":"57014","details":null,"hint":null,"message":"canceling statement due to statement timeout"}'
    )
    assert (b"proxy-status", b"PostgREST; error=57014") in problem.answer_headers()


def test_a_raised_header_cannot_begin_another_one() -> None:
    detail = msgspec.json.encode({"status": 400, "headers": {"X-A": "1\r\nSet-Cookie: a=b"}}).decode()
    problem = errors.refused(Said("PGRST", '{"code": "1\\r\\nX: y", "message": ""}', detail), is_anonymous=False)
    assert all(b"\r" not in value and b"\n" not in value for _, value in problem.answer_headers())


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("wedding", "Perhaps you meant the table 'api.weddings'"),
        ("photo_group", "Perhaps you meant the table 'api.photo_groups'"),
        ("GUESTS", "Perhaps you meant the table 'api.guests'"),
        ("secret", None),
        ("payments", None),
    ],
)
def test_a_table_that_is_near_is_suggested_from_the_same_schema(name: str, hint: str | None) -> None:
    problem = errors.table_not_found(_catalogue(), "api", name).problem
    assert (problem.status, problem.code, problem.hint) == (404, "PGRST205", hint)
    assert problem.message == f"Could not find the table 'api.{name}' in the schema cache"


@pytest.mark.parametrize(
    ("parent", "child", "hint"),
    [
        ("guest", "weddings", "Perhaps you meant 'guests' instead of 'guest'."),
        ("guests", "wedding", "Perhaps you meant 'weddings' instead of 'wedding'."),
        ("guests", "weddings", None),
        ("guests", "xyz", None),
        ("xyz", "weddings", None),
    ],
)
def test_a_relation_that_is_near_is_suggested(parent: str, child: str, hint: str | None) -> None:
    problem = errors.relationship_not_found(_catalogue(), "api", parent, child).problem
    assert (problem.status, problem.code, problem.hint) == (400, "PGRST200", hint)
    assert problem.details == (
        f"Searched for a foreign key relationship between '{parent}' and '{child}' in the schema 'api', "
        "but no matches were found."
    )


def test_the_hint_that_did_not_help_is_named() -> None:
    problem = errors.relationship_not_found(_catalogue(), "api", "guests", "weddings", hint="fk2").problem
    assert "between 'guests' and 'weddings' using the hint 'fk2' in the schema 'api'" in str(problem.details)


def test_ambiguous_relations_are_described_and_told_apart() -> None:
    through = Junction(
        table=("api", "seats"),
        source_constraint="seats_guest_fkey",
        target_constraint="seats_group_fkey",
        source_columns=(("id", "guest_id"),),
        target_columns=(("group_id", "id"),),
    )
    found = [
        _way("guests", "photo_groups", "first_fkey"),
        _way("guests", "photo_groups", "", cardinality=Cardinality.MANY_TO_MANY, junction=through),
    ]
    problem = errors.relationship_ambiguous("guests", "photo_groups", found).problem
    assert (problem.status, problem.code) == (300, "PGRST201")
    assert problem.hint == (
        "Try changing 'photo_groups' to one of the following: 'photo_groups!first_fkey', 'photo_groups!seats'. "
        "Find the desired relationship in the 'details' key."
    )
    assert problem.details == [
        {
            "cardinality": "many-to-one",
            "embedding": "guests with photo_groups",
            "relationship": "first_fkey using guests(photo_groups_id) and photo_groups(id)",
        },
        {
            "cardinality": "many-to-many",
            "embedding": "guests with photo_groups",
            "relationship": "seats using seats_guest_fkey(guest_id) and seats_group_fkey(group_id)",
        },
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "posted", "message", "searched", "hint"),
    [
        ("invit", [], None, "invit without parameters", "invit without parameters", "api.invite"),
        ("seat", ["row"], None, "seat(row)", "seat with parameter row", "api.seat()"),
        ("seats", ["x"], None, "seats(x)", "seats with parameter x", "api.seat"),
        ("marry", [], None, "marry without parameters", "marry without parameters", None),
        (
            "invite",
            ["wedding", "guests"],
            None,
            "invite(guests, wedding)",
            "invite with parameters guests, wedding",
            "api.invite(guest, wedding)",
        ),
        (
            "invite",
            ["mail"],
            "application/json",
            "invite(mail)",
            "invite with parameter mail or with a single unnamed json/jsonb parameter",
            "api.invite(email)",
        ),
        ("invite", [], "text/plain", "invite", "invite with a single unnamed text parameter", None),
        ("invite", [], "application/octet-stream", "invite", "invite with a single unnamed bytea parameter", None),
    ],
)
def test_a_function_that_is_near_is_suggested(
    name: str, arguments: list[str], posted: str | None, *, message: str, searched: str, hint: str | None
) -> None:
    problem = errors.function_not_found(_catalogue(), "api", name, arguments, posted=posted).problem
    assert (problem.status, problem.code) == (404, "PGRST202")
    assert problem.message == f"Could not find the function api.{message} in the schema cache"
    assert problem.details == (
        f"Searched for the function api.{searched}, but no matches were found in the schema cache."
    )
    assert problem.hint == (hint and f"Perhaps you meant to call the function {hint}")


def test_ambiguous_functions_are_listed_with_their_arguments() -> None:
    overloads = _catalogue().functions["api", "invite"]
    problem = errors.function_ambiguous(overloads).problem
    assert (problem.status, problem.code) == (300, "PGRST203")
    assert problem.message == (
        "Could not choose the best candidate function between: "
        "api.invite(guest => integer, wedding => integer), api.invite(email => integer)"
    )


def test_each_error_of_a_request_has_its_own_code() -> None:
    made = [
        errors.query_malformed("a", "b"),
        errors.method_not_for_function("PUT"),
        errors.body_malformed("a"),
        errors.limit_negative(),
        errors.put_filters_wrong(),
        errors.schema_not_exposed("x", ["api"]),
        errors.media_type_unavailable(["text/x"]),
        errors.not_embedded("guests"),
        errors.response_headers_malformed(),
        errors.response_status_malformed(),
        errors.put_with_limit(),
        errors.put_key_mismatch(),
        errors.not_singular(2),
        errors.method_unsupported("LOCK"),
        errors.related_order_not_to_one("a", "b"),
        errors.embedded_filter_unacceptable("a"),
        errors.preferences_invalid(["x=y"]),
        errors.aggregates_not_allowed(),
        errors.max_affected_exceeded(9),
        errors.path_invalid(),
        errors.openapi_disabled(),
        errors.not_implemented("x"),
        errors.max_affected_needs_set(),
    ]
    codes = [error.problem.code for error in made]
    assert len(set(codes)) == len(codes)
    statuses = {error.problem.code: error.problem.status for error in made}
    assert {code for code, status in statuses.items() if status == 405} == {"PGRST101", "PGRST105", "PGRST117"}
    assert {code for code, status in statuses.items() if status == 406} == {"PGRST106", "PGRST107", "PGRST116"}
    assert {code for code, status in statuses.items() if status == 404} == {"PGRST125", "PGRST126"}
    assert {code for code, status in statuses.items() if status == 500} == {"PGRST111", "PGRST112"}
    assert statuses["PGRST103"] == 416


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Overloaded("too much", retry_after_s=3), 503, "PGRST003"),
        (PoolTimeout("none free"), 504, "PGRST003"),
        (CatalogueNotLoaded("not yet"), 503, "PGRST002"),
        (PipelineBroken("gone", detail="server 10.0.0.7"), 503, "PGRST001"),
        (CannotConnect("gone", detail="server 10.0.0.7"), 503, "PGRST000"),
        (ServerNotReady("starting", detail="server 10.0.0.7"), 503, "PGRST000"),
        (CommitUnknown("lost", detail="server 10.0.0.7"), 504, "WS252"),
        (ResultTooLarge("70 MB"), 400, "WS255"),
    ],
)
def test_what_the_gateway_could_not_do(error: WedsyncError, status: int, code: str) -> None:
    problem = errors.unserved(error)
    assert (problem.status, problem.code) == (status, code)
    assert b"10.0.0.7" not in problem.body()


def test_only_what_surely_did_nothing_is_to_be_repeated() -> None:
    assert errors.unserved(Overloaded("too much", retry_after_s=3)).headers == {"Retry-After": "3"}
    assert "Retry-After" in errors.unserved(CannotConnect("gone")).headers
    unknown = errors.unserved(CommitUnknown("lost"))
    assert "Retry-After" not in unknown.headers
    assert "may have been made, or not" in unknown.message
