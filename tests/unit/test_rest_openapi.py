"""The description of a schema: PostgREST's OpenAPI 2.0 document."""

import asyncio
from collections.abc import Mapping

import msgspec

from wedsync.api.rest.openapi import Address, Descriptions, Visible
from wedsync.database.catalogue import (
    Cardinality,
    Catalogue,
    Column,
    Function,
    Parameter,
    Relationship,
    Table,
)

HERE = Address("https", "api.example.org", "/rest/v1")


def everything_in(catalogue: Catalogue) -> Visible:
    """What somebody sees who may use all of `api`."""
    return Visible(
        frozenset(name for schema, name in catalogue.tables if schema == "api"),
        frozenset(
            function.oid
            for (schema, _), overloads in catalogue.functions.items()
            if schema == "api"
            for function in overloads
        ),
    )


def _column(name: str, base_type: str, **more: object) -> Column:
    given: dict[str, object] = {"nullable": True, "default": None, "is_generated": False, **more}
    return Column(name=name, type=base_type, base_type=base_type, **given)  # type: ignore[arg-type]


GUESTS = Table(
    schema="api",
    name="guests",
    kind="r",
    columns={
        column.name: column
        for column in (
            _column("id", "bigint", nullable=False, description="Number"),
            _column("wedding", "uuid", default="gen_random_uuid()"),
            _column("name", "character varying", max_length=20, default="'Anna'::character varying"),
            _column("seats", "integer", default="2"),
            _column("comes", "boolean", default="true"),
            _column("tags", "text[]"),
            _column("wishes", "jsonb", description="Food"),
            _column("mood", "api.mood", enum=("calm", "excited"), default="'calm'::api.mood"),
        )
    },
    primary_key=("id",),
    insertable=True,
    updatable=False,
    deletable=False,
    description="Who comes\n\nAlso who was only asked",
)
WEDDINGS = Table(
    schema="api",
    name="weddings",
    kind="v",
    columns={"id": _column("id", "uuid")},
    primary_key=("id",),
    insertable=False,
    updatable=False,
    deletable=False,
)
HIDDEN = Table(
    schema="other",
    name="payments",
    kind="r",
    columns={},
    primary_key=(),
    insertable=True,
    updatable=True,
    deletable=True,
)


def _function(name: str, oid: int, volatility: str, *parameters: Parameter) -> Function:
    return Function(
        schema="api",
        name=name,
        parameters=parameters,
        returns_set=False,
        returns_void=False,
        return_type="integer",
        returns_table=None,
        returns_composite=False,
        single_row=False,
        volatility=volatility,
        description="Counts",
        oid=oid,
    )


def _catalogue() -> Catalogue:
    way = Relationship(
        source=GUESTS.id,
        target=WEDDINGS.id,
        cardinality=Cardinality.MANY_TO_ONE,
        constraint="fk",
        columns=(("wedding", "id"),),
    )
    ages = Parameter(name="ages", type="integer[]", required=False, variadic=True)
    at_least = Parameter(name="at_least", type="bigint", required=True)
    return Catalogue(
        tables={table.id: table for table in (WEDDINGS, GUESTS, HIDDEN)},
        relationships={GUESTS.id: (way,)},
        functions={
            ("api", "count_guests"): (_function("count_guests", 1, "s", at_least, ages),),
            ("api", "invite"): (
                _function("invite", 2, "v", Parameter(name="tags", type="text[]", required=True)),
            ),
        },
        computed_fields={},
        media_handlers={},
        time_zones=frozenset(),
        version_num=150000,
        has_postgis=False,
        fingerprint="",
        schemas=("api",),
        schema_descriptions={"api": "Weddings\n\nFor apps"},
    )


def _document(visible: Visible | None = None) -> Mapping[str, object]:
    catalogue = _catalogue()
    shown = visible or everything_in(catalogue)
    return msgspec.json.decode(asyncio.run(Descriptions().of(catalogue, "api", shown, HERE)))


def _at(document: object, *path: str) -> object:
    for key in path:
        assert isinstance(document, dict), path
        document = document[key]
    return document


def test_title_and_address_are_those_of_the_schema() -> None:
    document = _document()
    assert document["swagger"] == "2.0"
    assert _at(document, "info", "title") == "Weddings"
    assert _at(document, "info", "description") == "For apps"
    assert (document["schemes"], document["host"], document["basePath"]) == (
        ["https"],
        "api.example.org",
        "/rest/v1",
    )


def test_columns_have_types_defaults_enums_and_keys() -> None:
    assert _at(_document(), "definitions", "guests") == {
        "type": "object",
        "description": "Who comes\n\nAlso who was only asked",
        "required": ["id"],
        "properties": {
            "id": {
                "type": "integer",
                "format": "int64",
                "description": "Number\n\nNote:\nThis is a Primary Key.<pk/>",
            },
            "wedding": {
                "type": "string",
                "format": "uuid",
                "default": "gen_random_uuid()",
                "description": "Note:\nThis is a Foreign Key to `weddings.id`.<fk table='weddings' column='id'/>",
            },
            "name": {"type": "string", "format": "character varying", "default": "Anna", "maxLength": 20},
            "seats": {"type": "integer", "format": "int32", "default": 2},
            "comes": {"type": "boolean", "format": "boolean", "default": True},
            "tags": {"type": "array", "format": "text[]", "items": {"type": "string"}},
            "wishes": {"format": "jsonb", "description": "Food"},
            "mood": {"type": "string", "format": "api.mood", "enum": ["calm", "excited"], "default": "calm"},
        },
    }


def test_what_can_be_written_has_all_methods_and_what_cannot_has_one() -> None:
    document = _document()
    guests, weddings = _at(document, "paths", "/guests"), _at(document, "paths", "/weddings")
    assert isinstance(guests, dict)
    assert isinstance(weddings, dict)
    assert set(guests) == {"get", "post", "patch", "delete"}
    assert set(weddings) == {"get"}
    assert _at(guests, "get", "summary") == "Who comes"
    assert _at(guests, "get", "description") == "Also who was only asked"
    assert {"$ref": "#/parameters/rowFilter.guests.mood"} in _at(guests, "delete", "parameters")  # type: ignore[operator]


def test_every_reference_leads_somewhere() -> None:
    document = _document()
    seen = 0

    def follow(node: object) -> None:
        nonlocal seen
        if isinstance(node, dict):
            if isinstance(reference := node.get("$ref"), str):
                assert _at(document, *reference.removeprefix("#/").split("/", 1))
                seen += 1
            for value in node.values():
                follow(value)
        elif isinstance(node, list):
            for value in node:
                follow(value)

    follow(document)
    assert seen > 20


def test_functions_are_called_by_get_unless_they_are_volatile() -> None:
    document = _document()
    counted, invite = _at(document, "paths", "/rpc/count_guests"), _at(document, "paths", "/rpc/invite")
    assert isinstance(counted, dict)
    assert isinstance(invite, dict)
    assert (set(counted), set(invite)) == ({"get", "post"}, {"post"})
    assert _at(counted, "get", "parameters") == [
        {"name": "at_least", "required": True, "in": "query", "type": "integer", "format": "int64"},
        {
            "name": "ages",
            "required": False,
            "in": "query",
            "type": "array",
            "collectionFormat": "multi",
            "items": {"type": "integer", "format": "int32"},
        },
    ]
    args, prefer = _at(invite, "post", "parameters")  # type: ignore[misc]
    assert prefer == {"$ref": "#/parameters/preferParams"}
    assert args["schema"] == {
        "type": "object",
        "description": "Counts",
        "properties": {"tags": {"type": "array", "format": "text[]", "items": {"type": "string"}}},
        "required": ["tags"],
    }


def test_nothing_is_shown_that_the_caller_may_not_use() -> None:
    document = _document(Visible(frozenset({"weddings", "payments"}), frozenset({2})))
    paths = _at(document, "paths")
    assert isinstance(paths, dict)
    assert set(paths) == {"/", "/weddings", "/rpc/invite"}
    definitions = _at(document, "definitions")
    assert isinstance(definitions, dict)
    assert set(definitions) == {"weddings"}


async def test_what_is_kept_of_a_document_does_not_hang_on_its_address() -> None:
    catalogue, descriptions = _catalogue(), Descriptions()
    everything = everything_in(catalogue)
    first = await descriptions.of(catalogue, "api", everything, HERE)
    assert await descriptions.of(catalogue, "api", everything, HERE) == first
    assert await descriptions.of(catalogue, "api", Visible(frozenset(), frozenset()), HERE) != first
    elsewhere = msgspec.json.decode(
        await descriptions.of(catalogue, "api", everything, Address("http", "b:1", "/"))
    )
    assert (elsewhere["host"], elsewhere["definitions"]) == ("b:1", msgspec.json.decode(first)["definitions"])
