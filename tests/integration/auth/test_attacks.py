"""What somebody tries who has no business here."""

import asyncio
from collections import Counter
from datetime import timedelta

import httpx
import msgspec
import pytest
from argon2 import PasswordHasher

from support.sign_in import PASSWORD, QUIET, SITE, Desk, Place, code_of, desk, new_address

REFRESH = "/token?grant_type=refresh_token"
BY_PASSWORD = "/token?grant_type=password"


# Refresh tokens --------------------------------------------------------------------------------------


async def test_devices_that_refresh_at_once_get_the_same_answer(at: Desk) -> None:
    member = await at.member()
    answers = await asyncio.gather(
        *(at.call("POST", REFRESH, refresh_token=member["refresh_token"]) for _ in range(12))
    )
    assert Counter(answer.status_code for answer in answers) == {200: 12}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    session = at.claims(member)["session_id"]
    assert await at.ask("select count(*) from auth.refresh_tokens where session_id = %s", session) == 2


async def test_an_answer_that_was_lost_can_be_asked_for_again(at: Desk) -> None:
    member = await at.member()
    await at.call("POST", REFRESH, refresh_token=member["refresh_token"])  # the client never heard of it
    again = (await at.call("POST", REFRESH, refresh_token=member["refresh_token"])).json()
    onward = await at.call("POST", REFRESH, refresh_token=again["refresh_token"])
    assert onward.status_code == 200


@pytest.mark.parametrize("moved", ["1 minute", "-1 minute", "1 day", "-1 day"])
async def test_a_token_used_again_later_ends_the_session(at: Desk, moved: str) -> None:
    """Also if the clock was set meanwhile, forth or back."""
    member = await at.member()
    stolen = member["refresh_token"]
    owned = (await at.call("POST", REFRESH, refresh_token=stolen)).json()
    await at.tell(
        "update auth.refresh_tokens set used_at = used_at - %s::interval where user_id = %s",
        moved,
        member["user"]["id"],
    )
    assert code_of(await at.call("POST", REFRESH, refresh_token=stolen)) == "refresh_token_already_used"
    after = await at.call("POST", REFRESH, refresh_token=owned["refresh_token"])
    assert code_of(after) == "refresh_token_not_found"
    assert code_of(await at.call("GET", "/user", owned["access_token"])) == "session_not_found"


async def test_reuse_at_once_with_the_next_refresh_leaves_no_session_behind(at: Desk) -> None:
    member = await at.member()
    stolen = member["refresh_token"]
    owned = (await at.call("POST", REFRESH, refresh_token=stolen)).json()["refresh_token"]
    user = member["user"]["id"]
    await at.tell("update auth.refresh_tokens set used_at = used_at - interval '1 hour' where user_id = %s", user)
    answers = await asyncio.gather(
        *(at.call("POST", REFRESH, refresh_token=token) for token in (stolen, owned) * 8)
    )
    assert all(answer.status_code in {200, 400} for answer in answers)
    assert await at.ask("select count(*) from auth.sessions where user_id = %s", user) == 0
    assert await at.ask("select count(*) from auth.refresh_tokens where user_id = %s", user) == 0


async def test_no_token_is_kept_in_clear(at: Desk) -> None:
    member = await at.member()
    kept = await at.ask("select string_agg(t::text, ' ') from auth.refresh_tokens t")
    history = await at.ask("select string_agg(v::text, ' ') from audit.record_version v")
    assert member["refresh_token"] not in kept
    assert member["refresh_token"] not in history
    letter = await at.letter(member["user"]["email"])
    assert letter.token not in history
    assert PASSWORD not in history
    stored = await at.ask("select encrypted_password from auth.users where id = %s", member["user"]["id"])
    assert stored.startswith("$argon2id$")
    assert stored not in history


# One-time tokens -------------------------------------------------------------------------------------


async def test_a_code_works_once_even_if_two_enter_it_at_once(at: Desk) -> None:
    email = new_address()
    await at.call("POST", "/otp", email=email)
    code = (await at.letter(email)).code
    answers = await asyncio.gather(
        *(at.call("POST", "/verify", type="email", email=email, token=code) for _ in range(10))
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 403: 9}


async def test_five_wrong_codes_and_the_right_one_is_void(at: Desk) -> None:
    email = new_address()
    await at.call("POST", "/otp", email=email)
    letter = await at.letter(email)
    for number in range(5):
        wrong = f"{(int(letter.code) + number + 1) % 1_000_000:06d}"
        answer = await at.call("POST", "/verify", type="email", email=email, token=wrong)
        assert code_of(answer) == "otp_expired"
    assert code_of(await at.call("POST", "/verify", type="email", email=email, token=letter.code)) == "otp_expired"
    followed = await at.http.get(letter.link)
    assert "error_code=otp_expired" in followed.headers["location"]


async def test_an_old_letter_is_void(at: Desk) -> None:
    email = new_address()
    await at.call("POST", "/otp", email=email)
    letter = await at.letter(email)
    await at.tell("update auth.one_time_tokens set expires_at = clock_timestamp() where email = %s", email)
    assert code_of(await at.call("POST", "/verify", type="email", email=email, token=letter.code)) == "otp_expired"
    by_hash = await at.call("POST", "/verify", type="email", token_hash=letter.token)
    assert code_of(by_hash) == "otp_expired"


async def test_a_code_of_one_kind_is_none_of_another(at: Desk) -> None:
    member = await at.member()
    email = member["user"]["email"]
    await at.call("POST", "/recover", email=email)
    code = (await at.letter(email)).code
    for kind in ("email", "magiclink", "signup", "invite", "email_change"):
        answer = await at.call("POST", "/verify", type=kind, email=email, token=code)
        assert code_of(answer) == "otp_expired", kind
    assert (await at.call("POST", "/verify", type="recovery", email=email, token=code)).status_code == 200


async def test_a_letter_to_the_address_before_opens_nothing(at: Desk) -> None:
    member = await at.member()
    email = member["user"]["email"]
    await at.call("POST", "/otp", email=email)
    letter = await at.letter(email)
    user = member["user"]["id"]
    await at.call("PUT", f"/admin/users/{user}", at.service_key, email=new_address(), email_confirm=True)
    by_hash = await at.call("POST", "/verify", type="magiclink", token_hash=letter.token)
    assert code_of(by_hash) == "otp_expired"


async def test_whoever_proves_an_address_is_rid_of_a_password_somebody_else_chose(at: Desk) -> None:
    email = new_address()
    await at.call("POST", "/signup", email=email, password="chosen by an attacker")
    await at.call("POST", "/otp", email=email)
    letter = await at.letter(email)
    assert (await at.call("POST", "/verify", type="email", email=email, token=letter.code)).status_code == 200
    tried = await at.call("POST", BY_PASSWORD, email=email, password="chosen by an attacker")
    assert code_of(tried) == "invalid_credentials"


# Who has an account ----------------------------------------------------------------------------------


async def test_no_answer_tells_who_has_an_account(at: Desk) -> None:
    here, there = (await at.member())["user"]["email"], new_address()
    for path, body in (
        ("/otp", {"create_user": False}),
        ("/magiclink", {"create_user": False}),
        ("/recover", {}),
        ("/resend", {"type": "signup"}),
        ("/resend", {"type": "email_change"}),
        (BY_PASSWORD, {"password": "wrong password"}),
        ("/verify", {"type": "email", "token": "123456"}),
    ):
        known = await at.call("POST", path, **body, email=here)
        unknown = await at.call("POST", path, **body, email=there)
        assert (known.status_code, known.content) == (unknown.status_code, unknown.content), path
    assert await at.letters_to(there) == 0


async def test_a_second_sign_up_looks_like_the_first(at: Desk) -> None:
    taken = (await at.member())["user"]["email"]
    shapes = []
    for email in (new_address(), taken):
        answer = await at.call("POST", "/signup", email=email, password=PASSWORD, data={"name": "Ada"})
        body = answer.json()
        shapes.append((answer.status_code, [*body], [*body["identities"][0]], body["user_metadata"]))
        # Moments measured one by one would tell which of them were written to a table.
        assert body["created_at"] == body["updated_at"] == body["confirmation_sent_at"]
    assert shapes[0] == shapes[1]
    assert (await at.letter(taken)).subject == "You have an account already"
    assert (await at.call("POST", BY_PASSWORD, email=taken, password=PASSWORD)).status_code == 200


async def test_wanting_an_address_that_is_taken_looks_like_any_change(at: Desk) -> None:
    one, other = await at.member(), await at.member()
    taken = other["user"]["email"]
    free = await at.call("PUT", "/user", one["access_token"], email=new_address())
    asked = await at.call("PUT", "/user", one["access_token"], email=taken)
    assert [*free.json()] == [*asked.json()]
    assert asked.json()["new_email"] == taken
    assert (await at.letter(taken)).subject == "You have an account already"
    letter = await at.letter(one["user"]["email"])
    half = await at.call("POST", "/verify", type="email_change", email=one["user"]["email"], token=letter.code)
    assert half.json()["code"] == "200"
    assert (await at.call("GET", "/user", one["access_token"])).json()["email"] == one["user"]["email"]


class CountingHasher(PasswordHasher):
    """Counts the passwords that it checks."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=64, parallelism=1)
        self.checked = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]  # noqa: A002
        self.checked += 1
        return super().verify(hash, password)


async def test_the_password_of_nobody_is_checked_like_that_of_somebody(accounts: Place) -> None:
    hasher = CountingHasher()
    async with desk(accounts, hasher=hasher) as at:
        for email in ((await at.member())["user"]["email"], new_address()):
            before = hasher.checked
            await at.call("POST", BY_PASSWORD, email=email, password="wrong password")
            assert hasher.checked == before + 1


# How often -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exists", [True, False])
async def test_wrong_passwords_make_the_account_wait_longer_each_time(at: Desk, exists: bool) -> None:
    email = (await at.member())["user"]["email"] if exists else new_address()
    for _ in range(5):
        assert code_of(await at.call("POST", BY_PASSWORD, email=email, password="wrong")) == "invalid_credentials"
    shut = await at.call("POST", BY_PASSWORD, email=email, password=PASSWORD)
    assert code_of(shut) == "over_request_rate_limit"
    assert 1 <= int(shut.headers["retry-after"]) <= 5
    await at.tell("update auth.throttles set blocked_until = null where blocked_until > clock_timestamp()")
    assert code_of(await at.call("POST", BY_PASSWORD, email=email, password="wrong")) == "invalid_credentials"
    longer = await at.call("POST", BY_PASSWORD, email=email, password=PASSWORD)
    assert 6 <= int(longer.headers["retry-after"]) <= 10
    await at.tell("delete from auth.throttles")


async def test_a_right_password_forgets_the_wrong_ones(at: Desk) -> None:
    email = (await at.member())["user"]["email"]
    for _ in range(3):
        for _ in range(4):
            await at.call("POST", BY_PASSWORD, email=email, password="wrong")
        assert (await at.call("POST", BY_PASSWORD, email=email, password=PASSWORD)).status_code == 200
    await at.tell("delete from auth.throttles")


async def test_letters_to_one_address_are_a_minute_apart_for_everybody(accounts: Place) -> None:
    config = msgspec.structs.replace(QUIET, letter_every=timedelta(minutes=1))
    async with desk(accounts, config=config) as at:
        member, nobody = await at.member(), new_address()
        for email in (member["user"]["email"], nobody):
            assert (await at.call("POST", "/recover", email=email)).status_code == 200
            again = await at.call("POST", "/recover", email=email)
            assert code_of(again) == "over_email_send_rate_limit"
            assert 50 <= int(again.headers["retry-after"]) <= 60


async def test_calls_from_one_address_are_counted_by_kind(accounts: Place) -> None:
    config = msgspec.structs.replace(QUIET, calls_per_minute=3)
    async with desk(accounts, config=config) as at:
        statuses = [(await at.call("POST", "/recover", email=new_address())).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert (await at.call("POST", "/otp", email=new_address())).status_code == 200


# Redirects, bodies, tokens ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked", ["http://evil.test/", "//evil.test", "javascript:alert(1)", "http://app.test@evil.test/", ""]
)
async def test_no_letter_leads_elsewhere(at: Desk, asked: str) -> None:
    email = new_address()
    await at.http.post("/otp", params={"redirect_to": asked}, json={"email": email})
    letter = await at.letter(email)
    changed = str(httpx.URL(letter.link).copy_set_param("redirect_to", asked))
    followed = await at.http.get(changed)
    assert followed.headers["location"].partition("#")[0] == SITE


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "bad_json"),
        (b'{"email":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "bad_json"),
        (b"\xff", "bad_json"),
        (b"[]", "validation_failed"),
        (b'{"email": 7, "password": "a wedding in June"}', "validation_failed"),
        (b'{"email": "nobody", "password": "a wedding in June"}', "validation_failed"),
        (b'{"email": "a@b.c\\u0000", "password": "a wedding in June"}', "validation_failed"),
        (
            b'{"email": "x@example.com", "password": "a wedding in June", "data": {"a": "\\u0000"}}',
            "validation_failed",
        ),
        (b'{"email": "x@example.com", "password": "short"}', "weak_password"),
        (b'{"phone": "+441234567890", "password": "a wedding in June"}', "phone_provider_disabled"),
        (b"{}", "anonymous_provider_disabled"),
        (b'{"email": "x@example.com", "password": "' + b"x" * 70_000 + b'"}', "validation_failed"),
    ],
)
async def test_what_is_no_sign_up_is_refused_in_the_protocols_words(at: Desk, body: bytes, code: str) -> None:
    answer = await at.http.post("/signup", content=body)
    assert code_of(answer) == code
    newer = await at.http.post("/signup", content=body, headers={"x-supabase-api-version": "2024-01-01"})
    assert newer.json()["code"] == code
    assert newer.headers["x-supabase-api-version"] == "2024-01-01"


async def test_tokens_of_others_open_nothing(at: Desk) -> None:
    member = await at.member()
    claims = at.claims(member)
    anon = at.keys.sign({"role": "anon", "exp": 4_000_000_000})
    no_session = at.keys.sign({**claims, "session_id": "01a1fe59-377d-75cd-9327-2b9c93f874ee"})
    expired = at.keys.sign({**claims, "exp": 1_000_000_000})
    head, body, _ = member["access_token"].split(".")
    cases = {None: 401, "nonsense": 403, anon: 403, no_session: 403, expired: 403, f"{head}.{body}.": 403}
    for token, status in cases.items():
        assert (await at.call("GET", "/user", token)).status_code == status
    for path in ("/admin/users", f"/admin/users/{claims['sub']}"):
        assert code_of(await at.call("GET", path, member["access_token"])) == "not_admin"
        assert code_of(await at.call("GET", path)) == "no_authorization"
    assert code_of(await at.call("POST", "/invite", anon, email=new_address())) == "not_admin"
