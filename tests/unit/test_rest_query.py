"""Reading a query string: its shape, its grammar, its limits."""

import string
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.api.rest.errors import RestError
from wedsync.api.rest.query import (
    Field,
    Filter,
    Given,
    Logic,
    Order,
    Quantifier,
    QueryLimits,
    SelectField,
    SelectRelation,
    parse,
    shape_of,
)

OPERATORS = [
    "eq",
    "neq",
    "gt",
    "gte",
    "lt",
    "lte",
    "like",
    "ilike",
    "match",
    "imatch",
    "cs",
    "cd",
    "ov",
    "sl",
    "sr",
]
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
NAMES = st.text(string.ascii_letters + string.digits + "_", min_size=1).filter(
    lambda name: name not in {"select", "order", "limit", "offset", "and", "or", "not", "columns", "count"}
)
NASTY = st.lists(
    st.sampled_from(
        [*"()[]{}.,:;!*\"'\\->&=%+$ \n", "::", "->>", "...", "eq.", "not.", "in.(", "or=(", "ü", "%00"]
    )
    | st.sampled_from(
        ["select=", "order=", "limit=", "id", "a", "1", "and", "or", "is.null", "count()", "any", "asc"]
    )
).map("".join)


def read(query: str) -> tuple[object, tuple[str, ...]]:
    """The parsed query of a raw query string, and its values."""
    shape = shape_of(query.encode())
    return parse(shape.key), shape.values


def test_values_are_not_part_of_the_shape() -> None:
    one, other = (
        shape_of(b"id=eq.1&name=like.A*&guests.limit=2000"),
        shape_of(b"id=eq.2&name=like.B*&guests.limit=3000"),
    )
    assert one.key == other.key
    assert one.values == ("1", "A*", "2000")


def test_what_changes_the_plan_is_part_of_the_shape() -> None:
    keys = [
        shape_of(query).key
        for query in (
            b"id=eq.1",
            b"id=neq.1",
            b"id=not.eq.1",
            b"id=is.null",
            b"id=is.true",
            b"id=fts.a",
            b"id=fts(german).a",
            b"limit=1",
            b"limit=2",
            b"or=(a.eq.1)",
            b"or=(b.eq.1)",
            b"or=(a.eq.{1})",
            b"or=(a.eq.{2})",
            b"or=(a.in.(1))",
            b"or=(a.in.(2))",
            b"select=a",
            b"select=b",
            b"order=a",
        )
    ]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("query", "header", "expected"),
    [
        (b"", None, (0, None)),
        (b"limit=10", None, (0, 10)),
        (b"limit=10&offset=5", None, (5, 10)),
        (b"", "0-9", (0, 10)),
        (b"", "10-", (10, None)),
        (b"limit=5", "2-9", (2, 3)),
        (b"limit=20&offset=4", "0-9", (4, 6)),
        (b"limit=0", "5-9", (0, 0)),
        (b"offset=-5&limit=10", None, (0, 5)),
        (b"", "items=0-9", (0, None)),
        (b"limit=1&limit=2", None, (0, 2)),
        (b"limit=ten", None, (0, None)),
    ],
)
def test_range_and_limit_and_offset_together(
    query: bytes, header: str | None, expected: tuple[int, int | None]
) -> None:
    shape = shape_of(query, header_range=header)
    assert (shape.offset, shape.limit) == expected


@pytest.mark.parametrize(
    ("query", "header"), [(b"limit=-1", None), (b"", "9-2"), (b"limit=2", "5-9"), (b"offset=-9&limit=3", None)]
)
def test_a_range_of_nothing_is_refused(query: bytes, header: str | None) -> None:
    with pytest.raises(RestError) as refused:
        shape_of(query, header_range=header)
    assert (refused.value.problem.status, refused.value.problem.code) == (416, "PGRST103")


@pytest.mark.parametrize(
    ("query", "key", "values"),
    [
        ("or=(a.eq.1,b.not.like.x*)", "or=(a.eq.\0,b.not.like.\0)", ("1", "x*")),
        ("or=%28a.eq.1%2Cand%28b->c.gt.2%2Cd.is.null%29%29", "or=(a.eq.\0,and(b->c.gt.\0,d.is.null))", ("1", "2")),
        ("or=(a.eq.x%26y%2Bz%25)&b=eq.2", "or=(a.eq.\0)&b=eq.\0", ("x&y+z%", "2")),
        ("or=(a.fts.x%26y,b.eq.1)", "or=(a.fts.x%26y,b.eq.\0)", ("1",)),
        ('or=(a.eq."1,b.eq.2",c.eq.3)', 'or=(a.eq."1,b.eq.2",c.eq.3)', ()),
        ("or=(a.cs.{1,b.eq.2,3},c.eq.3)", "or=(a.cs.{1,b.eq.2,3},c.eq.3)", ()),
        ("or=(a.in.(1,b.eq.2,3),c.eq.3)", "or=(a.in.(1,b.eq.2,3),c.eq.3)", ()),
        ("r.or=(a.eq.,b.neq.2)", "r.or=(a.eq.\0,b.neq.\0)", ("", "2")),
    ],
)
def test_values_of_simple_trees_are_taken_out(query: str, key: str, values: tuple[str, ...]) -> None:
    shape = shape_of(query.encode())
    assert (shape.key, shape.values) == (key, values)


@given(
    st.lists(
        st.tuples(NAMES, st.sampled_from(["eq", "not.gte", "like", "is", "fts", "cs", "in"]), TEXT),
        min_size=1,
        max_size=4,
    )
)
def test_a_tree_is_the_same_with_its_values_taken_out(filters: list[tuple[str, str, str]]) -> None:
    def condition(name: str, operator: str, value: str) -> str:
        if operator == "is":
            return f"{name}.is.null"
        bare = "".join(character for character in value if character not in ',(){}"\\')
        return f"{name}.in.({bare})" if operator == "in" else f"{name}.{operator}.{bare}"

    text = ",".join(condition(*one) for one in filters)
    query, values = read(f"or=({quote_plus(text)})")
    (tree,) = query.levels[0].where  # type: ignore[attr-defined]
    found = [values[part.value.number] if isinstance(part.value, Given) else part.value for part in tree.parts]
    assert [
        f"{part.field.name}.{'not.' if part.negated else ''}{part.operator}.{value}"
        for part, value in zip(tree.parts, found, strict=True)
    ] == [condition(*one) for one in filters]


def test_select_with_everything() -> None:
    query = parse("select=*,n:name::text,data->a->>0,b.sum()::int,t:count(),r:rel!hint!inner(x,...s(*))")
    assert query.select == (
        SelectField(field=Field(name="*")),
        SelectField(field=Field(name="name"), alias="n", cast="text"),
        SelectField(field=Field(name="data", path=(("->", "a"), ("->>", 0)))),
        SelectField(field=Field(name="b"), aggregate="sum", aggregate_cast="int"),
        SelectField(field=Field(name="*"), alias="t", aggregate="count"),
        SelectRelation(
            target="rel",
            alias="r",
            hint="hint",
            inner=True,
            select=(
                SelectField(field=Field(name="x")),
                SelectRelation(target="s", spread=True, select=(SelectField(field=Field(name="*")),)),
            ),
        ),
    )


def test_levels_with_everything() -> None:
    key = shape_of(
        b"a->b=not.eq(any).{1}&r.x=in.(1,2)&r.or=(p.is.null,q.not.fts(english).w)&r.order=x.desc.nullsfirst,s(y)"
    ).key
    root, below = parse(key).levels
    assert root.where == (
        Filter(
            field=Field(name="a", path=(("->", "b"),)),
            operator="eq",
            value=Given(0),
            negated=True,
            quantifier=Quantifier.ANY,
        ),
    )
    assert below.path == ("r",)
    assert below.where == (
        Filter(field=Field(name="x"), operator="in", value=Given(1)),
        Logic(
            operator="or",
            parts=(
                Filter(field=Field(name="p"), operator="is", value="null"),
                Filter(field=Field(name="q"), operator="fts", value="w", negated=True, language="english"),
            ),
        ),
    )
    assert below.order == (
        Order(field=Field(name="x"), descending=True, nulls_first=True),
        Order(field=Field(name="y"), relation="s"),
    )


@pytest.mark.parametrize(
    ("query", "message", "details"),
    [
        ("select=a,", '"failed to parse select parameter (a,)" (line 1, column 3)', "unexpected end of input"),
        ("select=a(b", '"failed to parse select parameter (a(b)" (line 1, column 4)', "unexpected end of input"),
        ("a=gtx.1", '"failed to parse filter (gtx.1)" (line 1, column 3)', 'unexpected "x"'),
        ("order=a.b", '"failed to parse order (a.b)" (line 1, column 3)', 'unexpected "b"'),
        ("or=a.eq.1", '"failed to parse logic tree (a.eq.1)" (line 1, column 3)', 'unexpected "a"'),
        ("or=()", '"failed to parse logic tree (())" (line 1, column 4)', 'unexpected ")"'),
        ("select=a!", '"failed to parse select parameter (a!)" (line 1, column 2)', 'unexpected "!"'),
        ("select=a->>--3", '"failed to parse select parameter (a->>--3)" (line 1, column 6)', 'unexpected "-"'),
        ("select=a->>-7x", '"failed to parse select parameter (a->>-7x)" (line 1, column 7)', 'unexpected "x"'),
        ("order=a(b,c)", '"failed to parse order (a(b,c))" (line 1, column 2)', 'unexpected "("'),
        ("columns=a;b", '"failed to parse columns parameter (a;b)" (line 1, column 2)', 'unexpected ";"'),
    ],
)
def test_a_grammar_error_says_where(query: str, message: str, details: str) -> None:
    with pytest.raises(RestError) as refused:
        read(query)
    problem = refused.value.problem
    assert (problem.status, problem.code) == (400, "PGRST100")
    assert problem.message.startswith(message)
    assert str(problem.details).startswith(details)


@pytest.mark.parametrize(
    "query",
    [
        "a=eq." + "x" * 200,
        "select=" + "a(" * 5 + "b" + ")" * 5,
        "select=" + ",".join(["a(b)"] * 9),
        "or=" + "(and" * 5 + "(a.eq.1)" + ")" * 5,
        "&".join(["a=eq.1"] * 9),
        "or=(" + ",".join(["a.eq.1"] * 9) + ")",
    ],
)
def test_beyond_the_limits_a_query_is_refused(query: str) -> None:
    limits = QueryLimits(length=150, depth=3, relations=8, conditions=8)
    with pytest.raises(RestError) as refused:
        parse(shape_of(query.encode(), limits=limits).key, limits)
    assert refused.value.problem.code == "PGRST100"


@pytest.mark.parametrize("query", [b"a=eq.%00", b"a%00=eq.1", b"select=%00", b"a=eq.\0", b"or=(a.eq.%00)"])
def test_a_zero_byte_is_refused(query: bytes) -> None:
    with pytest.raises(RestError) as refused:
        parse(shape_of(query).key)
    assert refused.value.problem.code == "22021"


@given(st.sampled_from(OPERATORS), TEXT, st.sampled_from([quote, quote_plus]))
def test_any_value_comes_through_encoding(operator: str, value: str, encode: object) -> None:
    query, values = read(f"name=not.{operator}.{encode(value)}")  # type: ignore[operator]
    assert values == (value,)
    assert query.levels[0].where == (  # type: ignore[attr-defined]
        Filter(field=Field(name="name"), operator=operator, value=Given(0), negated=True),
    )


@given(TEXT.filter(bool))
def test_any_name_can_be_quoted(name: str) -> None:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    word = quote_plus(f'"{escaped}"')
    query, _ = read(f"select={word}&{word}=eq.1&order={word}.desc&columns={word}")
    assert query.select == (SelectField(field=Field(name=name)),)  # type: ignore[attr-defined]
    assert query.columns == (name,)  # type: ignore[attr-defined]
    assert query.levels[0].where[0].field.name == name  # type: ignore[attr-defined]
    assert query.levels[0].order[0].field.name == name  # type: ignore[attr-defined]


@given(st.lists(st.tuples(NAMES, st.none() | NAMES, st.none() | NAMES), min_size=1))
def test_a_select_list_is_read_as_it_was_written(items: list[tuple[str, str | None, str | None]]) -> None:
    written = ",".join(
        f"{f'{alias}:' if alias else ''}{name}{f'::{cast}' if cast else ''}" for name, alias, cast in items
    )
    query, _ = read(f"select={written}")
    assert query.select == tuple(  # type: ignore[attr-defined]
        SelectField(field=Field(name=name), alias=alias, cast=cast) for name, alias, cast in items
    )


@given(NASTY | TEXT, st.booleans())
def test_nothing_makes_the_parser_fail(text: str, arguments: bool) -> None:
    for query in (text, f"select={text}", f"order={text}", f"or=({text})", f"a={text}", f"{text}=eq.1"):
        try:
            parse(shape_of(query.encode(errors="surrogateescape"), arguments=arguments).key)
        except RestError as refused:
            assert refused.problem.status in {400, 416}


@given(st.binary())
def test_no_bytes_make_it_fail(query: bytes) -> None:
    try:
        parse(shape_of(query).key)
    except RestError as refused:
        assert refused.problem.status in {400, 416}
