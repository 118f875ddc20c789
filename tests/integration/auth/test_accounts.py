"""An account from sign-up to its end, as a client library calls it."""

import pytest

from support.sign_in import PASSWORD, QUIET, SITE, Desk, Place, code_of, desk, new_address


async def test_a_sign_up_is_confirmed_by_the_code_of_its_letter(at: Desk) -> None:
    email = new_address()
    answer = await at.call("POST", "/signup", email=email, password=PASSWORD, data={"name": "Ada"})
    user = answer.json()
    assert answer.status_code == 200
    assert user["email"] == email
    assert user["user_metadata"] == {"name": "Ada"}
    assert user["app_metadata"] == {"provider": "email", "providers": ["email"]}
    assert "email_confirmed_at" not in user
    assert "access_token" not in user

    early = await at.call("POST", "/token?grant_type=password", email=email, password=PASSWORD)
    assert code_of(early) == "email_not_confirmed"

    letter = await at.letter(email)
    session = (await at.call("POST", "/verify", type="signup", email=email, token=letter.code)).json()
    assert session["user"]["email_confirmed_at"]
    assert session["token_type"] == "bearer"
    claims = at.claims(session)
    assert claims["sub"] == session["user"]["id"] == user["id"]
    assert (claims["role"], claims["aal"], claims["email"]) == ("authenticated", "aal1", email)
    assert claims["amr"][0]["method"] == "otp"
    assert claims["exp"] - claims["iat"] == 3600
    shown = (await at.call("GET", "/user", session["access_token"])).json()
    assert shown["id"] == user["id"]
    assert shown["identities"][0]["identity_data"]["email"] == email


async def test_a_password_signs_in_and_a_wrong_one_does_not(at: Desk) -> None:
    member = await at.member()
    email = member["user"]["email"]
    session = (await at.call("POST", "/token?grant_type=password", email=email.upper(), password=PASSWORD)).json()
    assert at.claims(session)["amr"][0]["method"] == "password"
    wrong = await at.call("POST", "/token?grant_type=password", email=email, password=PASSWORD + "!")
    unknown = await at.call("POST", "/token?grant_type=password", email=new_address(), password=PASSWORD)
    assert code_of(wrong) == code_of(unknown) == "invalid_credentials"
    assert wrong.json() == unknown.json()


async def test_a_refresh_token_gives_the_next_one(at: Desk) -> None:
    member = await at.member()
    answer = await at.call("POST", "/token?grant_type=refresh_token", refresh_token=member["refresh_token"])
    refreshed = answer.json()
    assert answer.status_code == 200
    assert refreshed["refresh_token"] != member["refresh_token"]
    assert at.claims(refreshed)["session_id"] == at.claims(member)["session_id"]
    nonsense = await at.call("POST", "/token?grant_type=refresh_token", refresh_token="nonsense")
    assert code_of(nonsense) == "refresh_token_not_found"


@pytest.mark.parametrize("scope", ["local", "others", "global"])
async def test_signing_out_ends_the_sessions_it_says(at: Desk, scope: str) -> None:
    here = await at.member()
    email = here["user"]["email"]
    there = (await at.call("POST", "/token?grant_type=password", email=email, password=PASSWORD)).json()
    answer = await at.call("POST", f"/logout?scope={scope}", here["access_token"])
    assert answer.status_code == 204
    lives = {
        name: (await at.call("GET", "/user", session["access_token"])).status_code == 200
        for name, session in (("here", here), ("there", there))
    }
    assert lives == {"here": scope == "others", "there": scope == "local"}
    ended = here if scope != "others" else there
    assert code_of(await at.call("GET", "/user", ended["access_token"])) == "session_not_found"
    again = await at.call("POST", "/token?grant_type=refresh_token", refresh_token=ended["refresh_token"])
    assert code_of(again) == "refresh_token_not_found"


async def test_without_confirmation_a_sign_up_is_a_session(accounts: Place) -> None:
    config = QUIET.__class__(**{**_fields(QUIET), "confirm_email": False})
    async with desk(accounts, config=config) as at:
        email = new_address()
        session = (await at.call("POST", "/signup", email=email, password=PASSWORD)).json()
        assert at.claims(session)["amr"][0]["method"] == "password"
        again = await at.call("POST", "/signup", email=email, password=PASSWORD)
        assert code_of(again) == "user_already_exists"


async def test_links_lead_to_the_application_with_a_session(at: Desk) -> None:
    email = new_address()
    await at.call("POST", "/signup", email=email, password=PASSWORD)
    letter = await at.letter(email)
    looked = await at.http.head(letter.link)
    assert looked.status_code == 204
    followed = await at.http.get(letter.link)
    assert followed.status_code == 303
    place, _, fragment = followed.headers["location"].partition("#")
    assert place == SITE
    assert "access_token=" in fragment
    assert "type=signup" in fragment
    again = await at.http.get(letter.link)
    assert again.headers["location"].partition("#")[2].startswith("error=access_denied&error_code=otp_expired")


def _fields(config: object) -> dict[str, object]:
    return {name: getattr(config, name) for name in config.__struct_fields__}  # type: ignore[attr-defined]
