"""What the headers of a request to the data API mean: preferences, media types, bodies."""

import pytest

from wedsync.api.rest.errors import RestError
from wedsync.api.rest.headers import read_headers
from wedsync.api.rest.media import Kind, accepted, media_type
from wedsync.api.rest.payload import arguments_of, rows_of
from wedsync.api.rest.prefer import Count, Handling, Missing, Resolution, Return, Transaction, preferences
from wedsync.api.rest.recent import Recent

ZONES = frozenset({"Europe/Zurich"})


def test_preferences_of_several_kinds_in_any_order_with_blanks() -> None:
    found = preferences(
        b"count=exact,    tx=commit   ,return=representation , missing=default, handling=strict,"
        b" resolution=ignore-duplicates, timezone=Europe/Zurich, max-affected=100",
        allow_rollback=True,
        time_zones=ZONES,
    )
    assert found.count is Count.EXACT
    assert found.transaction is Transaction.COMMIT
    assert found.representation is Return.REPRESENTATION
    assert found.missing is Missing.DEFAULT
    assert found.handling is Handling.STRICT
    assert found.resolution is Resolution.IGNORE
    assert (found.time_zone, found.most_affected, found.unknown) == ("Europe/Zurich", 100, ())


def test_applied_preferences_are_told_in_a_fixed_order() -> None:
    found = preferences(
        b"max-affected=3, count=exact, return=minimal, handling=strict, missing=null, resolution=merge-duplicates",
        allow_rollback=True,
        time_zones=ZONES,
    )
    assert found.applied(resolution=True, representation=True, missing=True, affected=True) == (
        "resolution=merge-duplicates, missing=null, return=minimal, count=exact, handling=strict, max-affected=3"
    )
    assert found.applied() == "count=exact, handling=strict"


def test_no_preference_is_told_where_none_applies() -> None:
    assert preferences(b"return=minimal", allow_rollback=True, time_zones=ZONES).applied() is None


def test_rollback_is_not_taken_where_it_is_not_allowed() -> None:
    found = preferences(b"tx=rollback", allow_rollback=False, time_zones=ZONES)
    assert found.transaction is None
    assert found.unknown == ()


@pytest.mark.parametrize("header", [b"handling=strict, anything", b"timezone=Mars/Base, handling=strict"])
def test_strict_handling_refuses_what_is_not_known(header: bytes) -> None:
    with pytest.raises(RestError) as caught:
        preferences(header, allow_rollback=True, time_zones=ZONES).require_known()
    assert caught.value.problem.code == "PGRST122"


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ("application/json", "application/json; charset=utf-8"),
        ("application/vnd.pgrst.array+json", "application/json; charset=utf-8"),
        ("application/vnd.pgrst.object", "application/vnd.pgrst.object+json; charset=utf-8"),
        (
            "ApplicatIon/vnd.PgRsT.object+json; nulls=stripped",
            "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8",
        ),
        ("text/csv; version=1", "text/csv; charset=utf-8"),
        ("application/octet-stream", "application/octet-stream"),
        ("application/vnd.twkb", "application/vnd.twkb"),
        (
            'application/vnd.pgrst.plan+json ; for="text/csv" ; options=wal|analyze|nonsense',
            'application/vnd.pgrst.plan+json; for="text/csv"; options=analyze|wal; charset=utf-8',
        ),
        (
            "application/vnd.pgrst.plan;",
            'application/vnd.pgrst.plan+text; for="application/json"; charset=utf-8',
        ),
        ("undefined", "undefined"),
    ],
)
def test_media_type_is_understood_and_said_again(text: str, content_type: str) -> None:
    assert media_type(text).content_type == content_type


def test_accepted_media_types_are_in_the_order_in_which_they_are_wanted() -> None:
    found = accepted(b'text/csv;q=0.2, application/json; q=0.9, application/vnd.pgrst.plan; options="analyze,x"')
    assert [each.kind for each in found] == [Kind.PLAN, Kind.JSON, Kind.CSV]


def test_anything_is_accepted_where_nothing_is_said() -> None:
    assert [each.kind for each in accepted(b"")] == [Kind.ANY]


def test_objects_with_the_same_members_are_rows() -> None:
    content = rows_of(b' [{"b": 1, "a": 2}, {"a": 3, "b": null}] ', "application/json", columns_named=False)
    assert (content.columns, content.is_object) == (("a", "b"), False)


@pytest.mark.parametrize(
    "body", [b'[{"a": 1}, {"b": 1}]', b'[{"a": 1}, 5]', b"[5]", b'[{"a": 1}, {"a": 1, "b": 2}]', b'[[{"a": 1}]]']
)
def test_other_lists_are_no_rows(body: bytes) -> None:
    with pytest.raises(RestError, match="All object keys must match"):
        rows_of(body, "application/json", columns_named=False)


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": NaN}', b"\xff", b"[" * 5000, b'{"a": 1} x'])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(RestError, match="Empty or invalid json"):
        rows_of(body, "application/json", columns_named=False)


def test_columns_of_csv_are_in_its_first_line() -> None:
    content = rows_of(b'a,b\r\n1,NULL\r\n"x, ""y""",z\r\n', "text/csv", columns_named=False)
    assert content.text == b'[{"a":"1","b":null},{"a":"x, \\"y\\"","b":"z"}]'


def test_bytes_for_a_function_are_written_as_postgresql_reads_them() -> None:
    assert arguments_of(b"\x00\\", "application/octet-stream", columns_named=False).text == b"\\x005c"


def test_headers_are_told_to_the_database_without_cookies() -> None:
    headers = read_headers(((b"x-a", b"1"), (b"cookie", b"s=t; u=v=w"), (b"prefer", b"a"), (b"prefer", b"b")))
    assert headers.request == b'{"x-a":"1","prefer":"a,b"}'
    assert headers.cookies == b'{"s":"t","u":"v=w"}'
    assert headers.prefer == b"a,b"


def test_of_too_many_values_the_one_that_was_asked_for_longest_ago_is_forgotten() -> None:
    kept = Recent[str, int](2)
    kept.keep("a", 1)
    kept.keep("b", 2)
    kept.get("a")
    kept.keep("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c"), len(kept)) == (1, None, 3, 2)
