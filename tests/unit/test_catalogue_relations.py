"""Keys and relations of views, worked out from the catalogue's rows."""

from collections.abc import Sequence

import pytest

from wedsync.database.catalogue.build import Circumstances, build
from wedsync.database.catalogue.model import Cardinality, Catalogue
from wedsync.database.catalogue.rows import CatalogueRows, ColumnRow, KeyRow, TableRow, ViewRow
from wedsync.database.catalogue.view_columns import origins_of, shown_columns

AROUND = Circumstances(
    schemas=("api",),
    extra_search_path=(),
    schema_descriptions={},
    time_zones=frozenset(),
    version_num=150000,
    has_postgis=False,
    fingerprint="",
)
PEOPLE, SEATS, TABLES, VIEW, UPPER = 1, 2, 3, 10, 11


def _entry(number: int, relation: int, column: int, expression: str = "{VAR :varno 1}") -> str:
    return (
        f"{{TARGETENTRY :expr {expression} :resno {number} :resname x :ressortgroupref 0 "
        f":resorigtbl {relation} :resorigcol {column} :resjunk false}}"
    )


def _definition(*entries: str, before: str = "<>", after: str = "<>") -> str:
    return (
        f"({{QUERY :commandType 1 :rtable ({before}) :jointree {{FROMEXPR :fromlist <>}} "
        f":targetList ({' '.join(entries)}) :override 0 :groupClause {after} :setOperations <>}})"
    )


SUBLINK = f"{{SUBLINK :subselect {_definition(_entry(1, 9, 9))}}}"


def _table(oid: int, name: str, *columns: str, kind: str = "r") -> tuple[TableRow, list[ColumnRow]]:
    rows = [
        ColumnRow(oid, number, column, "integer", "integer", True, None, False, None, None, None)
        for number, column in enumerate(columns, 1)
    ]
    return TableRow(oid, "api", name, kind, 28, None), rows


Numbered = Sequence[tuple[int, str]]
"""Columns by number and name."""


def _key(
    oid: int,
    kind: str,
    table: tuple[int, str],
    columns: Numbered,
    other: tuple[int, str, Numbered] | None = None,
    *,
    schema: str = "api",
) -> KeyRow:
    """A key of `table` in `schema`; what a foreign key references is in `api`."""
    return KeyRow(
        oid=oid,
        kind=kind,
        name=f"key{oid}",
        relation=table[0],
        schema=schema,
        table_name=table[1],
        columns=[number for number, _ in columns],
        column_names=[name for _, name in columns],
        other=other[0] if other else 0,
        other_schema="api" if other else None,
        other_name=other[1] if other else None,
        other_columns=[number for number, _ in other[2]] if other else [],
        other_column_names=[name for _, name in other[2]] if other else [],
    )


def _catalogue(
    tables: Sequence[tuple[TableRow, list[ColumnRow]]], keys: list[KeyRow], views: Sequence[ViewRow] = ()
) -> Catalogue:
    rows = CatalogueRows(
        tables=[table for table, _ in tables],
        columns=[column for _, columns in tables for column in columns],
        keys=keys,
        views=list(views),
        functions=[],
        row_functions=[],
        handlers=[],
    )
    return build(rows, AROUND)


@pytest.mark.parametrize(
    ("definition", "origins"),
    [
        (_definition(_entry(1, 7, 2), _entry(2, 8, 1)), {1: (7, 2), 2: (8, 1)}),
        (_definition(_entry(1, 0, 0)), {}),
        (_definition(_entry(1, 0, 0, "{FUNCEXPR :args ({VAR :varno 1})}"), _entry(2, 7, 3)), {2: (7, 3)}),
        (_definition(_entry(1, 7, 2), before=_definition(_entry(1, 9, 9))), {1: (7, 2)}),
        (
            _definition(
                _entry(1, 0, 0, f"{{SUBLINK :subselect {_definition(_entry(1, 9, 9))}}}"), _entry(2, 7, 1)
            ),
            {2: (7, 1)},
        ),
        (_definition(_entry(1, 7, 2).replace(":resname x", r":resname \}\)\ :resno\ 5\ ")), {1: (7, 2)}),
        (_definition(_entry(1, 7, 2), after="({SORTGROUPCLAUSE :tleSortGroupRef 1})"), {1: (7, 2)}),
        ("", {}),
    ],
    ids=[
        "columns",
        "constant",
        "expression",
        "subquery before",
        "subquery inside",
        "odd name",
        "group",
        "nothing",
    ],
)
def test_the_outermost_list_says_from_where_columns_come(
    definition: str, origins: dict[int, tuple[int, int]]
) -> None:
    assert origins_of(definition) == origins


def test_a_view_of_a_view_shows_the_columns_of_both() -> None:
    views = [
        ViewRow(VIEW, False, _definition(_entry(1, PEOPLE, 4))),
        ViewRow(UPPER, True, _definition(_entry(1, VIEW, 1), _entry(2, VIEW, 1))),
    ]
    assert shown_columns(views) == {UPPER: {(VIEW, 1): [1, 2], (PEOPLE, 4): [1, 2]}}


def test_views_that_name_each_other_come_to_an_end() -> None:
    views = [
        ViewRow(VIEW, True, _definition(_entry(1, UPPER, 1))),
        ViewRow(UPPER, True, _definition(_entry(1, VIEW, 1))),
    ]
    assert set(shown_columns(views)) == {VIEW, UPPER}


def test_a_part_of_a_key_is_no_key() -> None:
    seats = _table(SEATS, "seats", "row", "number")
    keys = [_key(1, "p", (SEATS, "seats"), [(1, "row"), (2, "number")])]
    half = _catalogue(
        [seats, _table(VIEW, "rows", "row", kind="v")],
        keys,
        [ViewRow(VIEW, True, _definition(_entry(1, SEATS, 1)))],
    )
    assert half.tables["api", "rows"].primary_key == ()
    whole = _catalogue(
        [seats, _table(VIEW, "all", "n", "r", kind="v")],
        keys,
        [ViewRow(VIEW, True, _definition(_entry(1, SEATS, 2), _entry(2, SEATS, 1)))],
    )
    assert whole.tables["api", "all"].primary_key == ("r", "n")


def _composite(view_columns: Sequence[str], *entries: str) -> Catalogue:
    seats = _table(SEATS, "seats", "row", "number")
    people = _table(PEOPLE, "people", "id", "seat_number", "seat_row")
    keys = [
        _key(1, "p", (SEATS, "seats"), [(1, "row"), (2, "number")]),
        _key(
            2,
            "f",
            (PEOPLE, "people"),
            [(3, "seat_row"), (2, "seat_number")],
            (SEATS, "seats", [(1, "row"), (2, "number")]),
        ),
    ]
    views = [ViewRow(VIEW, True, _definition(*entries))]
    return _catalogue([seats, people, _table(VIEW, "sitting", *view_columns, kind="v")], keys, views)


def test_columns_of_a_composite_key_stay_pairs() -> None:
    catalogue = _composite(["n", "r"], _entry(1, PEOPLE, 2), _entry(2, PEOPLE, 3))
    (direct,) = catalogue.relationships["api", "people"]
    assert direct.columns == (("seat_row", "row"), ("seat_number", "number"))
    (through,) = catalogue.relationships["api", "sitting"]
    assert through.columns == (("r", "row"), ("n", "number"))
    back = {way.target[1]: way for way in catalogue.relationships["api", "seats"]}
    assert back["sitting"].columns == (("row", "r"), ("number", "n"))
    assert back["sitting"].cardinality is Cardinality.ONE_TO_MANY


def test_each_column_that_shows_a_key_is_a_way() -> None:
    catalogue = _composite(["n", "r", "again"], _entry(1, PEOPLE, 2), _entry(2, PEOPLE, 3), _entry(3, PEOPLE, 3))
    ways = catalogue.relationships["api", "sitting"]
    assert [way.columns for way in ways] == [
        (("again", "row"), ("n", "number")),
        (("r", "row"), ("n", "number")),
    ]


def test_what_leads_out_of_the_exposed_schemas_is_not_there() -> None:
    people = _table(PEOPLE, "people", "id", "table_id")
    keys = [_key(1, "f", (PEOPLE, "people"), [(2, "table_id")], (TABLES, "hidden_tables", [(1, "id")]))]
    assert _catalogue([people], keys).relationships == {}


def test_a_view_of_a_junction_is_a_junction() -> None:
    tables, people = _table(TABLES, "tables", "id"), _table(PEOPLE, "people", "id")
    keys = [
        _key(1, "p", (SEATS, "hidden_seats"), [(1, "table_id"), (2, "person_id")], schema="hidden"),
        _key(2, "f", (SEATS, "hidden_seats"), [(1, "table_id")], (TABLES, "tables", [(1, "id")]), schema="hidden"),
        _key(
            3, "f", (SEATS, "hidden_seats"), [(2, "person_id")], (PEOPLE, "people", [(1, "id")]), schema="hidden"
        ),
    ]
    views = [ViewRow(VIEW, True, _definition(_entry(1, SEATS, 1), _entry(2, SEATS, 2)))]
    catalogue = _catalogue([tables, people, _table(VIEW, "seats", "t", "p", kind="v")], keys, views)
    (through,) = (way for way in catalogue.relationships["api", "tables"] if way.junction)
    assert through.junction is not None
    assert (through.target, through.junction.table) == (("api", "people"), ("api", "seats"))
    assert (through.junction.source_columns, through.junction.target_columns) == ((("id", "t"),), (("p", "id"),))
