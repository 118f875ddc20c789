"""Sign-in through the unmodified `supabase` package."""

import base64
import email
import email.policy
import hmac
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from script import PASSWORD, SERVICE, fresh, new_address, run
from supabase import AuthApiError, AuthWeakPasswordError

MAIL = Path(os.environ["MAIL_DIR"])


def letter_code(to: str, subject: str) -> str:
    """The code in the newest letter of a subject to an address; waits until it is there."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for file in sorted(MAIL.glob("*.eml"), reverse=True):
            message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            if (message["To"], message["Subject"]) == (to, subject):
                body = message.get_body(("plain",))
                found = re.search(r"Code: (\d{6})", body.get_content() if body else "")
                if found:
                    return found[1]
        time.sleep(0.05)  # the deliverer is another process, and tells nobody here
    raise AssertionError(f"no letter {subject!r} to {to}")


def totp(secret: str, ahead: int = 0) -> str:
    """A code of an authenticator app (RFC 6238)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, (int(time.time() // 30) + ahead).to_bytes(8, "big"), "sha1")
    at = digest[-1] & 15
    return f"{(int.from_bytes(digest[at : at + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06d}"


def refused(call: Callable[[], object]) -> str | None:
    """The code of the error that a call ends with."""
    try:
        call()
    except AuthApiError as error:
        return error.code
    raise AssertionError("this went well")


address = new_address()
ada = fresh()
admin = fresh(SERVICE)


def sign_up_confirmed_by_code() -> None:
    made = ada.auth.sign_up({"email": address, "password": PASSWORD, "options": {"data": {"name": "Ada"}}})
    assert made.session is None
    assert made.user is not None
    credentials = {"email": address, "password": PASSWORD}
    assert refused(lambda: ada.auth.sign_in_with_password(credentials)) == "email_not_confirmed"
    code = letter_code(address, "Confirm your address")
    done = ada.auth.verify_otp({"email": address, "token": code, "type": "signup"})
    assert done.session is not None
    assert done.user is not None
    assert done.user.user_metadata["name"] == "Ada"


def weak_passwords_are_refused() -> None:
    try:
        fresh().auth.sign_up({"email": new_address(), "password": "short"})
    except AuthWeakPasswordError as error:
        assert error.reasons == ["length"]
    else:
        raise AssertionError("a weak password was taken")


def sign_in_with_a_password() -> None:
    done = ada.auth.sign_in_with_password({"email": address, "password": PASSWORD})
    assert done.session is not None
    wrong = {"email": address, "password": "something else"}
    assert refused(lambda: fresh().auth.sign_in_with_password(wrong)) == "invalid_credentials"


def user_and_claims() -> None:
    answer = ada.auth.get_user()
    assert answer is not None
    assert answer.user.email == address
    claims = ada.auth.get_claims()
    assert claims is not None
    assert claims["claims"]["sub"] == answer.user.id


def refresh() -> None:
    before = ada.auth.get_session()
    assert before is not None
    after = ada.auth.refresh_session()
    assert after.session is not None
    assert after.session.refresh_token != before.refresh_token
    assert refused(lambda: fresh().auth.refresh_session("nonsense")) == "refresh_token_not_found"


def update_the_user() -> None:
    changed = ada.auth.update_user({"data": {"name": "Ada L."}})
    assert changed.user.user_metadata["name"] == "Ada L."
    assert refused(lambda: ada.auth.update_user({"password": PASSWORD})) == "same_password"


def one_time_code() -> None:
    fresh().auth.sign_in_with_otp({"email": address})
    code = letter_code(address, "Your link to sign in")
    done = fresh().auth.verify_otp({"email": address, "token": code, "type": "email"})
    assert done.session is not None
    again = {"email": address, "token": code, "type": "email"}
    assert refused(lambda: fresh().auth.verify_otp(again)) == "otp_expired"


def recover() -> None:
    fresh().auth.reset_password_for_email(address)
    code = letter_code(address, "A new password")
    client = fresh()
    client.auth.verify_otp({"email": address, "token": code, "type": "recovery"})
    client.auth.update_user({"password": PASSWORD + " 2"})
    ada.auth.sign_in_with_password({"email": address, "password": PASSWORD + " 2"})


def anonymous() -> None:
    done = fresh().auth.sign_in_anonymously()
    assert done.user is not None
    assert done.user.is_anonymous


def second_factor() -> None:
    factor = ada.auth.mfa.enroll({"factor_type": "totp", "friendly_name": "phone"})
    challenge = ada.auth.mfa.challenge({"factor_id": factor.id})
    ada.auth.mfa.verify({"factor_id": factor.id, "challenge_id": challenge.id, "code": totp(factor.totp.secret)})
    levels = ada.auth.mfa.get_authenticator_assurance_level()
    assert levels.current_level == "aal2"
    assert len(ada.auth.mfa.list_factors().totp) == 1
    ada.auth.mfa.unenroll({"factor_id": factor.id})


def administration() -> None:
    to = new_address()
    made = admin.auth.admin.create_user(
        {"email": to, "password": PASSWORD, "email_confirm": True, "app_metadata": {"plan": "gold"}}
    )
    user = made.user
    assert user.app_metadata["plan"] == "gold"
    assert admin.auth.admin.get_user_by_id(user.id).user.email == to
    assert any(item.id == user.id for item in admin.auth.admin.list_users(page=1, per_page=50))
    changed = admin.auth.admin.update_user_by_id(user.id, {"user_metadata": {"b": 2}, "ban_duration": "1h"})
    assert changed.user.user_metadata == {"b": 2}
    credentials = {"email": to, "password": PASSWORD}
    assert refused(lambda: fresh().auth.sign_in_with_password(credentials)) == "user_banned"
    invited = admin.auth.admin.invite_user_by_email(new_address())
    assert invited.user.invited_at is not None
    link = admin.auth.admin.generate_link({"type": "recovery", "email": address})
    assert len(link.properties.email_otp) == 6
    admin.auth.admin.delete_user(user.id)
    assert refused(lambda: admin.auth.admin.get_user_by_id(user.id)) == "user_not_found"
    assert refused(fresh().auth.admin.list_users) == "not_admin"


def sign_out() -> None:
    held = ada.auth.get_session()
    assert held is not None
    ada.auth.sign_out()
    gone = refused(lambda: fresh().auth.refresh_session(held.refresh_token))
    assert gone == "refresh_token_not_found"


STEPS: tuple[Callable[[], None], ...] = (
    sign_up_confirmed_by_code,
    weak_passwords_are_refused,
    sign_in_with_a_password,
    user_and_claims,
    refresh,
    update_the_user,
    one_time_code,
    recover,
    anonymous,
    second_factor,
    administration,
    sign_out,
)

if __name__ == "__main__":
    run(STEPS)
