"""The data API through the unmodified `supabase` package."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from postgrest import APIError, CountMethod, ReturnMethod
from script import PASSWORD, SERVICE, fresh, new_address, run

admin, ada = fresh(SERVICE), fresh()
COUPLE = str(uuid4())
guests: list[str] = []


def refused(call: Callable[[], object]) -> str | None:
    """The code of the error that a call ends with."""
    try:
        call()
    except APIError as error:
        return error.code
    raise AssertionError("this went well")


def a_wedding_and_whose_it_is() -> None:
    address = new_address()
    user = admin.auth.admin.create_user({"email": address, "password": PASSWORD, "email_confirm": True}).user
    business = {"name": "Fern & Co", "slug": f"business-{COUPLE[:8]}"}
    [organization] = admin.table("organizations").insert(business).execute().data
    admin.table("couples").insert(
        {
            "id": COUPLE,
            "organization_id": organization["id"],
            "partner_one_name": "Ada",
            "partner_two_name": "Bea",
            "wedding_date": "2031-06-14",
            "time_zone": "Europe/London",
        }
    ).execute()
    member = {"couple_id": COUPLE, "user_id": user.id, "role": "partner"}
    admin.table("couple_members").insert(member).execute()
    ada.auth.sign_in_with_password({"email": address, "password": PASSWORD})


def insert() -> None:
    rows = [
        {"couple_id": COUPLE, "first_name": "Cleo", "last_name": "Green", "table_number": 1},
        {"couple_id": COUPLE, "first_name": "Dan", "last_name": "Ash", "table_number": 2},
        {"couple_id": COUPLE, "first_name": "Eve", "last_name": "Birch", "table_number": None},
    ]
    made = ada.table("guests").insert(rows).execute().data
    assert [row["first_name"] for row in made] == ["Cleo", "Dan", "Eve"]
    guests.extend(row["id"] for row in made)
    silent = ada.table("households").insert(
        {"couple_id": COUPLE, "name": "The Greens"}, returning=ReturnMethod.minimal
    )
    assert silent.execute().data == []


def filters() -> None:
    query = ada.table("guests").select("first_name")
    assert len(query.execute().data) == 3
    cases = {
        "Cleo": ada.table("guests").select("first_name").eq("table_number", 1),
        "Dan": ada.table("guests").select("first_name").gt("table_number", 1),
        "Eve": ada.table("guests").select("first_name").is_("table_number", "null"),
    }
    for name, case in cases.items():
        assert case.execute().data == [{"first_name": name}], name
    two = ada.table("guests").select("first_name").or_("first_name.eq.Dan,last_name.ilike.b*").order("first_name")
    assert [row["first_name"] for row in two.execute().data] == ["Dan", "Eve"]
    listed = ada.table("guests").select("id").in_("id", guests[:2]).execute().data
    assert len(listed) == 2


def order_range_and_count() -> None:
    page = (
        ada.table("guests")
        .select("first_name", count=CountMethod.exact)
        .order("table_number", desc=True, nullsfirst=False)
        .range(0, 1)
        .execute()
    )
    assert page.count == 3
    assert [row["first_name"] for row in page.data] == ["Dan", "Cleo"]


def embedding() -> None:
    [row] = ada.table("couples").select("partner_one_name, guests(first_name)").execute().data
    assert {guest["first_name"] for guest in row["guests"]} == {"Cleo", "Dan", "Eve"}


def update_and_upsert() -> None:
    changed = ada.table("guests").update({"rsvp_status": "accepted"}).eq("first_name", "Eve").execute().data
    assert changed[0]["rsvp_status"] == "accepted"
    row = {"couple_id": COUPLE, "id": guests[1], "first_name": "Daniel", "last_name": "Ash"}
    assert admin.table("guests").upsert(row).execute().data[0]["first_name"] == "Daniel"


def single_maybe_and_csv() -> None:
    one = ada.table("guests").select("*").eq("id", guests[0]).single().execute().data
    assert one["first_name"] == "Cleo"
    assert refused(ada.table("guests").select("*").single().execute) == "PGRST116"
    assert ada.table("guests").select("*").eq("first_name", "Nobody").maybe_single().execute() is None
    text = ada.table("guests").select("first_name").eq("id", guests[0]).csv().execute().data
    assert text.strip() == "first_name\nCleo"


def functions() -> None:
    now = datetime.now(UTC).isoformat()
    past = ada.rpc("get_guests_as_of", {"p_couple_id": COUPLE, "p_at": now}).execute().data
    assert len(past) == 3
    assert admin.rpc("photo_groups_health_check", {}).execute().data
    assert refused(ada.rpc("no_such_function", {}).execute) == "PGRST202"


def schemas_and_plans() -> None:
    assert len(ada.schema("public").table("guests").select("id").execute().data) == 3
    assert refused(ada.schema("auth").table("users").select("id").execute) == "PGRST106"
    assert admin.table("guests").select("id").explain().execute()


def tenancy() -> None:
    assert refused(fresh().table("guests").select("id").execute) == "42501"
    address = new_address()
    admin.auth.admin.create_user({"email": address, "password": PASSWORD, "email_confirm": True})
    stranger = fresh()
    stranger.auth.sign_in_with_password({"email": address, "password": PASSWORD})
    assert stranger.table("guests").select("id").execute().data == []
    pushed = stranger.table("guests").insert({"couple_id": COUPLE, "first_name": "Mal", "last_name": "Lory"})
    assert refused(pushed.execute) == "42501"


def delete() -> None:
    removed = ada.table("guests").delete().eq("id", guests[0]).execute().data
    assert removed[0]["first_name"] == "Cleo"
    assert ada.table("guests").select("id", count=CountMethod.exact).execute().count == 2


if __name__ == "__main__":
    run(
        (
            a_wedding_and_whose_it_is,
            insert,
            filters,
            order_range_and_count,
            embedding,
            update_and_upsert,
            single_maybe_and_csv,
            functions,
            schemas_and_plans,
            tenancy,
            delete,
        )
    )
