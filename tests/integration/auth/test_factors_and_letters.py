"""Second factors, PKCE, administration, and letters on their way."""

import asyncio
import base64
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from argon2 import PasswordHasher

from support.sign_in import PASSWORD, QUIET, Desk, Place, code_of, desk, new_address
from wedsync.api.auth.secret_values import challenge_of
from wedsync.api.auth.totp import code_at
from wedsync.api.callers import Algorithm, SigningKey, SigningKeys, new_private_key
from wedsync.errors import LetterNotSent

BY_PASSWORD = "/token?grant_type=password"
VERIFIER = "v" * 64


async def enrolled(at: Desk, session: dict) -> tuple[str, bytes]:
    factor = (await at.call("POST", "/factors", session["access_token"], factor_type="totp")).json()
    return factor["id"], base64.b32decode(factor["totp"]["secret"])


async def shown(at: Desk, session: dict, factor: str, code: str):
    challenge = (await at.call("POST", f"/factors/{factor}/challenge", session["access_token"])).json()
    return await at.call(
        "POST", f"/factors/{factor}/verify", session["access_token"], challenge_id=challenge["id"], code=code
    )


def step_now() -> int:
    return int(time.time() // 30)


# Second factors --------------------------------------------------------------------------------------


async def test_a_code_raises_the_session_and_ends_those_with_one_factor(at: Desk) -> None:
    here = await at.member()
    email = here["user"]["email"]
    there = (await at.call("POST", BY_PASSWORD, email=email, password=PASSWORD)).json()
    factor, secret = await enrolled(at, here)
    raised = (await shown(at, here, factor, code_at(secret, step_now()))).json()
    claims = at.claims(raised)
    assert claims["aal"] == "aal2"
    assert [entry["method"] for entry in claims["amr"]] == ["totp", "otp"]
    assert claims["session_id"] == at.claims(here)["session_id"]
    assert code_of(await at.call("GET", "/user", there["access_token"])) == "session_not_found"
    old = await at.call("POST", "/token?grant_type=refresh_token", refresh_token=here["refresh_token"])
    assert code_of(old) == "refresh_token_not_found"
    refreshed = await at.call("POST", "/token?grant_type=refresh_token", refresh_token=raised["refresh_token"])
    assert at.claims(refreshed.json())["aal"] == "aal2"


async def test_a_code_is_taken_once(at: Desk) -> None:
    member = await at.member()
    factor, secret = await enrolled(at, member)
    code = code_at(secret, step_now())
    raised = (await shown(at, member, factor, code)).json()
    assert code_of(await shown(at, raised, factor, code)) == "mfa_verification_failed"


async def test_of_many_with_the_same_code_one_gets_in(at: Desk) -> None:
    member = await at.member()
    factor, secret = await enrolled(at, member)
    code = code_at(secret, step_now())
    answers = await asyncio.gather(*(shown(at, member, factor, code) for _ in range(6)))
    assert [answer.status_code for answer in answers].count(200) == 1


async def test_a_challenge_ends_after_five_wrong_codes(at: Desk) -> None:
    member = await at.member()
    factor, secret = await enrolled(at, member)
    right = code_at(secret, step_now())
    challenge = (await at.call("POST", f"/factors/{factor}/challenge", member["access_token"])).json()["id"]
    path = f"/factors/{factor}/verify"
    codes = []
    for number in range(6):
        await at.tell("update auth.throttles set blocked_until = null where blocked_until is not null")
        wrong = f"{(int(right) + 17 * (number + 1)) % 1_000_000:06d}"
        answer = await at.call("POST", path, member["access_token"], challenge_id=challenge, code=wrong)
        codes.append(code_of(answer))
    assert codes == ["mfa_verification_failed"] * 5 + ["mfa_challenge_expired"]
    await at.tell("delete from auth.throttles")


async def test_with_a_factor_one_is_not_enough_for_what_matters(at: Desk) -> None:
    member = await at.member()
    factor, secret = await enrolled(at, member)
    raised = (await shown(at, member, factor, code_at(secret, step_now()))).json()
    email = member["user"]["email"]
    weak = (await at.call("POST", BY_PASSWORD, email=email, password=PASSWORD)).json()["access_token"]
    assert code_of(await at.call("PUT", "/user", weak, password="another password")) == "insufficient_aal"
    assert code_of(await at.call("PUT", "/user", weak, email=new_address())) == "insufficient_aal"
    assert code_of(await at.call("POST", "/factors", weak, factor_type="totp")) == "insufficient_aal"
    assert code_of(await at.call("DELETE", f"/factors/{factor}", weak)) == "insufficient_aal"
    assert (await at.call("DELETE", f"/factors/{factor}", raised["access_token"])).status_code == 200
    session = at.claims(raised)["session_id"]
    assert await at.ask("select aal from auth.sessions where id = %s", session) == "aal1"


async def test_the_secret_of_a_factor_is_not_in_the_database(at: Desk) -> None:
    member = await at.member()
    factor, secret = await enrolled(at, member)
    row = await at.ask("select f::text from auth.mfa_factors f where f.id = %s", factor)
    history = await at.ask("select string_agg(v::text, ' ') from audit.record_version v")
    for form in (secret.hex(), base64.b32encode(secret).decode()):
        assert form not in row
        assert form not in history
    async with desk(at.place, secret="another secret of another home, quite long") as other:
        assert code_of(await shown(other, member, factor, "123456")) == "unexpected_failure"


async def test_nobody_reaches_a_factor_of_others(at: Desk) -> None:
    one, other = await at.member(), await at.member()
    factor, _ = await enrolled(at, one)
    for method, path in (("POST", f"/factors/{factor}/challenge"), ("DELETE", f"/factors/{factor}")):
        assert code_of(await at.call(method, path, other["access_token"])) == "mfa_factor_not_found"


# PKCE ------------------------------------------------------------------------------------------------


async def test_a_code_needs_its_verifier_and_is_gone_after_the_first_try(at: Desk) -> None:
    for verifier, status in ((VERIFIER, 200), ("w" * 64, 400)):
        email = new_address()
        await at.call(
            "POST", "/otp", email=email, code_challenge=challenge_of(VERIFIER), code_challenge_method="s256"
        )
        followed = await at.http.get((await at.letter(email)).link)
        place, _, code = followed.headers["location"].partition("?code=")
        assert "#" not in place
        path = "/token?grant_type=pkce"
        first = await at.call("POST", path, auth_code=code, code_verifier=verifier)
        assert first.status_code == status
        again = await at.call("POST", path, auth_code=code, code_verifier=VERIFIER)
        assert code_of(again) == "flow_state_not_found"


# Administration --------------------------------------------------------------------------------------


async def test_an_account_that_is_closed_keeps_nothing_of_the_person(at: Desk) -> None:
    member = await at.member()
    user = member["user"]["id"]
    answer = await at.call("DELETE", f"/admin/users/{user}", at.service_key, should_soft_delete=True)
    assert answer.status_code == 200
    row = await at.ask("select u::text from auth.users u where u.id = %s", user)
    assert member["user"]["email"] not in row
    assert code_of(await at.call("GET", "/user", member["access_token"])) == "session_not_found"


async def test_a_hash_that_was_brought_along_signs_in_and_is_made_anew(at: Desk) -> None:
    email = new_address()
    cut = "$argon2id$v=19$m=8192,t=3,p=1$"
    refused = await at.call("POST", "/admin/users", at.service_key, email=email, password_hash=cut)
    assert code_of(refused) == "validation_failed"
    made = PasswordHasher(time_cost=3, memory_cost=128, parallelism=1).hash(PASSWORD)
    answer = await at.call(
        "POST", "/admin/users", at.service_key, email=email, password_hash=made, email_confirm=True
    )
    assert answer.status_code == 200, answer.text
    assert (await at.call("POST", BY_PASSWORD, email=email, password=PASSWORD)).status_code == 200
    kept = await at.ask("select encrypted_password from auth.users where email = %s", email)
    assert kept != made
    assert "m=64,t=1" in kept
    assert (await at.call("POST", BY_PASSWORD, email=email, password=PASSWORD)).status_code == 200


@pytest.mark.parametrize("path", ["/admin/users/nonsense", "/factors/nonsense/challenge"])
async def test_an_id_that_is_none_is_said_to_be_none(at: Desk, path: str) -> None:
    member = await at.member()
    token = at.service_key if path.startswith("/admin") else member["access_token"]
    method = "GET" if path.startswith("/admin") else "POST"
    assert code_of(await at.call(method, path, token)) == "validation_failed"


# Letters ---------------------------------------------------------------------------------------------


async def test_a_letter_waits_while_the_mail_server_is_away_and_is_sent_once(at: Desk) -> None:
    email = new_address()
    at.post.error = LetterNotSent("the mail server is away")
    await at.call("POST", "/otp", email=email)
    await at.sign_in.delivery.deliver_due()
    assert await at.letters_to(email) == 0
    assert "away" in await at.ask("select error from auth.letters where recipient = %s", email)
    at.post.error = None
    assert await at.letters_to(email) == 0  # not yet due
    await at.tell("update auth.letters set not_before = clock_timestamp() where recipient = %s", email)
    assert await at.letters_to(email) == 1
    assert await at.ask("select content is null from auth.letters where recipient = %s", email)


async def test_a_letter_whose_deliverer_died_is_taken_up_again(at: Desk) -> None:
    email = new_address()
    await at.call("POST", "/otp", email=email)
    at.post.error = KeyboardInterrupt()  # killed in the middle
    with pytest.raises(KeyboardInterrupt):
        await at.sign_in.delivery.deliver_due()
    at.post.error = None
    await at.tell("update auth.letters set not_before = not_before - interval '10 minutes'")
    assert await at.letters_to(email) == 1


async def test_two_gateways_send_a_letter_once(at: Desk) -> None:
    emails = [new_address() for _ in range(12)]
    for email in emails:
        await at.call("POST", "/otp", email=email)
    async with desk(at.place) as other:
        await asyncio.gather(
            *(delivery.deliver_due() for delivery in (at.sign_in.delivery, other.sign_in.delivery))
        )
        while await other.sign_in.delivery.deliver_due():
            pass
        sent = [letter["To"] for letter in (*at.post.letters, *other.post.letters)]
    assert sorted(address for address in sent if address in emails) == sorted(emails)


# Keys and time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [Algorithm.ES256, Algorithm.RS256])
async def test_tokens_of_a_key_pair_can_be_checked_by_the_key_set(accounts: Place, algorithm: Algorithm) -> None:
    key = SigningKey.from_pem(new_private_key(algorithm))
    async with desk(accounts, keys=SigningKeys(key)) as at:
        member = await at.member()
        published = (await at.call("GET", "/.well-known/jwks.json")).json()["keys"]
        assert [entry["kid"] for entry in published] == [key.kid]
        assert (await at.call("GET", "/user", member["access_token"])).status_code == 200
        new = SigningKey.from_pem(new_private_key(algorithm))
        async with desk(accounts, keys=SigningKeys(new, [key])) as rotated:
            assert (await rotated.call("GET", "/user", member["access_token"])).status_code == 200
        async with desk(accounts, keys=SigningKeys(new)) as later:
            assert code_of(await later.call("GET", "/user", member["access_token"])) == "bad_jwt"


class Stopped:
    """A clock that stands."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    async def sleep(self, pause: timedelta) -> None:
        del pause


async def test_a_token_is_over_after_its_hour(accounts: Place) -> None:
    async with desk(accounts, clock=Stopped(datetime.now(UTC) - timedelta(minutes=61))) as at:
        email = new_address()
        await at.call("POST", "/otp", email=email)
        code = (await at.letter(email)).code
        session = (await at.call("POST", "/verify", type="email", email=email, token=code)).json()
        assert code_of(await at.call("GET", "/user", session["access_token"])) == "bad_jwt"
        again = await at.call("POST", "/token?grant_type=refresh_token", refresh_token=session["refresh_token"])
        assert again.status_code == 200


async def test_sessions_end_when_the_settings_say(accounts: Place) -> None:
    config = msgspec.structs.replace(QUIET, session_lasts=timedelta(hours=8))
    async with desk(accounts, config=config) as at:
        member = await at.member()
        await at.tell(
            "update auth.sessions set not_after = not_after - interval '9 hours' where user_id = %s",
            member["user"]["id"],
        )
        assert code_of(await at.call("GET", "/user", member["access_token"])) == "session_not_found"
        ended = await at.call("POST", "/token?grant_type=refresh_token", refresh_token=member["refresh_token"])
        assert code_of(ended) == "session_expired"


async def test_what_expired_is_pruned_and_the_rest_stays(at: Desk) -> None:
    member = await at.member()
    user = member["user"]["id"]
    await at.call("POST", "/otp", email=member["user"]["email"])
    await at.tell(
        "update auth.one_time_tokens set expires_at = now() - interval '2 days' where user_id = %s", user
    )
    await at.tell("select ops.prune_sign_in()")
    assert await at.ask("select count(*) from auth.one_time_tokens where user_id = %s", user) == 0
    assert await at.ask("select count(*) from auth.sessions where user_id = %s", user) == 1
