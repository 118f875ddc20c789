"""Addresses, passwords, redirects, codes and hashes of sign-in: plain decisions."""

import string
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.api.auth.admin import ban_of
from wedsync.api.auth.delivery import pause_after
from wedsync.api.auth.errors import AuthError, Refusal, body_of
from wedsync.api.auth.letters import WORDS, Content, letter
from wedsync.api.auth.policy import Redirects, clean_email, require_strong
from wedsync.api.auth.secret_values import AuthSecret, challenge_of, new_code
from wedsync.api.auth.throttle import CallsByAddress
from wedsync.api.auth.totp import as_text, code_at, matching_step, picture_of, uri_of

SECRET = AuthSecret.of("a secret of a home, long enough to be one")
RFC_6238 = b"12345678901234567890"


# Addresses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given_text", ["Ada@Example.COM ", "ada+tag@example.co.uk", "é@exämple.org", "a@b.c"])
def test_an_address_is_kept_in_lower_case(given_text: str) -> None:
    assert clean_email(given_text) == given_text.strip().lower()


@pytest.mark.parametrize(
    "given_text",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "a b@example.com",
        "a@b@c",
        "a@.com",
        "a@b.",
        "a..b@c.d",
        "a@b\r\nBcc: x@y.z",
        "<a@b.c>",
        '"a"@b.c',
        "a@b.c\x00",
        "x" * 65 + "@b.c",
        "a@" + "b" * 260,
    ],
)
def test_what_is_no_address_is_refused(given_text: str) -> None:
    with pytest.raises(AuthError):
        clean_email(given_text)


@given(st.text())
def test_no_address_puts_a_line_into_a_letter(text: str) -> None:
    try:
        email = clean_email(text)
    except AuthError:
        return
    message = letter("signup", Content(code="123456"), sender="W <w@x.org>", recipient=email, identity="1")
    assert bytes(message).count(b"\nTo:") + bytes(message).startswith(b"To:") == 1
    assert not {"\r", "\n", "\x00"} & set(email)


# Passwords -------------------------------------------------------------------------------------------


def test_a_weak_password_is_told_why() -> None:
    require_strong("aB3!aB3!", min_length=8, needs=["lower", "upper", "digit", "symbol"])
    with pytest.raises(AuthError) as refused:
        require_strong("abc", min_length=8, needs=["digit"])
    assert refused.value.refusal.reasons == ["length", "characters"]
    assert "a digit" in refused.value.refusal.message


# Redirects -------------------------------------------------------------------------------------------

ALLOWED = Redirects(
    "https://app.test",
    ["https://*.preview.test/**", "wedding://open/*", "https://shop.test/a?b=1", "http://localhost:*/**"],
)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://app.test",
            "https://app.test/any/where?x=1#y",
            "https://APP.test:443/",
            "wedding://open/guests",
        ),
        *("https://one.preview.test/a/b", "http://localhost:3000/x"),
    ],
)
def test_these_may_be_led_to(url: str) -> None:
    assert ALLOWED.choose(url) == url


@pytest.mark.parametrize(
    "url",
    [
        *("http://app.test/", "https://app.test:8443/", "https://app.test.evil.test/", "https://evil.test/"),
        *("https://app.test@evil.test/", "https://evil.test\\@app.test/", "//evil.test", "/relative", ""),
        *("javascript:alert(1)//app.test", "https://a.b.preview.test/x", "https://evil.test/.preview.test/"),
        *("wedding://open/a/b", "https://app.test/\r\nSet-Cookie: a=b", "https://app.test:99999/", "https://[::1"),
        "https://evil.test/#https://one.preview.test/",
        "https://2130706433?.preview.test/",
        "http://localhost:?/x",
    ],
)
def test_these_may_not(url: str) -> None:
    assert ALLOWED.choose(url) == "https://app.test"


@given(st.text(alphabet=string.ascii_lowercase + "/@:.?#\\%*[] \t\r\n", max_size=40))
def test_whatever_is_put_together_leads_to_an_allowed_host(rest: str) -> None:
    for start in ("https://app.test", "https://", "http://localhost:", "https://x.preview.test"):
        chosen = ALLOWED.choose(start + rest)
        host = urlsplit(chosen).hostname or ""
        assert host in {"app.test", "localhost"} or host.endswith(".preview.test")


# Codes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_s", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_rfc(at_s: int, code: str) -> None:
    """RFC 6238, appendix B, the last six of eight digits."""
    assert code_at(RFC_6238, at_s // 30) == code
    assert matching_step(RFC_6238, code, at_s=at_s) == at_s // 30


@given(step=st.integers(4, 2**40), distance=st.integers(-3, 3))
def test_a_code_counts_half_a_minute_around(step: int, distance: int) -> None:
    found = matching_step(RFC_6238, code_at(RFC_6238, step + distance), at_s=step * 30.0 + 3)
    if abs(distance) <= 1:
        assert found is not None
        assert code_at(RFC_6238, found) == code_at(RFC_6238, step + distance)
    else:
        assert found is None or code_at(RFC_6238, found) == code_at(RFC_6238, step + distance)


def test_no_step_is_taken_twice() -> None:
    code = code_at(RFC_6238, 1000)
    assert matching_step(RFC_6238, code, at_s=30_000, after=999) == 1000
    assert matching_step(RFC_6238, code, at_s=30_000, after=1000) is None


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "28708 2"])
def test_what_is_no_code_fits_nothing(code: str) -> None:
    assert matching_step(RFC_6238, code, at_s=59) is None


def test_the_picture_is_svg_and_the_address_has_all() -> None:
    uri = uri_of(RFC_6238, issuer="Fern & Co", account="ada@example.com")
    assert uri.startswith("otpauth://totp/Fern%20%26%20Co:ada@example.com?")
    assert f"secret={as_text(RFC_6238)}" in uri
    assert ElementTree.fromstring(picture_of(uri)).tag.endswith("svg")  # noqa: S314 - our own


# Secrets ---------------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=80))
def test_the_next_refresh_token_is_always_the_same_and_only_this_homes(token: str) -> None:
    assert SECRET.successor(token) == SECRET.successor(token) != token
    assert AuthSecret.of("another home's secret, also long enough").successor(token) != SECRET.successor(token)


def test_a_code_is_hashed_with_its_address() -> None:
    assert SECRET.code_hash("Ada@x.org", "123456") == SECRET.code_hash("ada@x.org", "123456")
    assert SECRET.code_hash("ada@x.org", "123456") != SECRET.code_hash("bea@x.org", "123456")
    assert SECRET.subject("account", "x") != SECRET.subject("address", "x")
    assert len(new_code()) == 6


@given(st.binary(min_size=1, max_size=64))
def test_a_sealed_secret_opens_for_its_factor_only(secret: bytes) -> None:
    factor = uuid4()
    sealed = SECRET.seal(secret, factor)
    assert SECRET.open(sealed, factor) == secret
    assert SECRET.open(sealed, UUID(int=0)) is None
    assert SECRET.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), factor) is None
    assert secret not in sealed or len(secret) < 4


def test_the_code_challenge_is_that_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


# Answers, letters, pauses ----------------------------------------------------------------------------


def test_an_error_is_told_in_the_version_that_was_asked_for() -> None:
    refusal = Refusal(status=422, code="weak_password", message="too weak", reasons=["length"])
    assert body_of(refusal, None) == {
        "code": 422,
        "error_code": "weak_password",
        "msg": "too weak",
        "weak_password": {"reasons": ["length"]},
    }
    new = body_of(refusal, "2024-01-01")
    assert new == {"code": "weak_password", "message": "too weak", "weak_password": {"reasons": ["length"]}}


@pytest.mark.parametrize("kind", WORDS)
def test_every_letter_has_words_and_nothing_left_open(kind: str) -> None:
    content = Content(link="http://a/verify?x=1&y=<2>", code="123456", site="http://s", new_email="n@x.org")
    message = letter(kind, content, sender="W <w@x.org>", recipient="r@x.org", identity="id-1")
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert "123456" in plain.get_content()
    assert "$" not in plain.get_content() + html.get_content()
    assert "&amp;y=&lt;2&gt;" in html.get_content()
    assert message["Message-ID"] == "<id-1@x.org>"


def test_pauses_double_and_end() -> None:
    pauses = [pause_after(tries) for tries in range(1, 13)]
    assert pauses[:3] == [timedelta(seconds=10), timedelta(seconds=20), timedelta(seconds=40)]
    assert all(pause is not None and pause <= timedelta(minutes=30) for pause in pauses[:-1])
    assert pauses[-1] is None


@pytest.mark.parametrize(
    ("text", "lasts"), [("24h", timedelta(days=1)), ("1h30m", timedelta(minutes=90)), ("none", None)]
)
def test_a_ban_is_written_as_the_protocol_does(text: str, lasts: timedelta | None) -> None:
    assert ban_of(text) == lasts


@pytest.mark.parametrize("text", ["", "1d", "h", "1h 2m", "-1h", "forever"])
def test_what_is_no_ban_is_refused(text: str) -> None:
    with pytest.raises(AuthError):
        ban_of(text)


def test_a_bucket_is_empty_after_its_calls_and_each_address_has_its_own() -> None:
    calls = CallsByAddress(3)
    for _ in range(3):
        calls.take("token", "192.0.2.1")
    with pytest.raises(AuthError) as refused:
        calls.take("token", "192.0.2.1")
    assert 0 < int(refused.value.refusal.headers["Retry-After"]) <= 20
    calls.take("token", "192.0.2.2")
    calls.take("otp", "192.0.2.1")
