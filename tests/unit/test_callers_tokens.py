"""Tokens: which hold, as whom, why others do not; keys by name, file and kind."""

import base64
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from wedsync.api.callers import (
    Algorithm,
    Caller,
    Callers,
    KeyFile,
    KeySet,
    SigningKey,
    SigningKeys,
    TokenProblem,
    TokenProblemKind,
    TokenRules,
    Tokens,
    new_private_key,
)
from wedsync.api.callers.claim_path import ClaimPath
from wedsync.errors import ConfigProblem

SECRET = "a secret of this test that is long enough"
NOW = 1_800_000_000


class FakeTime:
    def __init__(self) -> None:
        self.at = float(NOW)

    def __call__(self) -> float:
        return self.at


def tokens(keys: KeySet | None = None, *, now: Callable[[], float] = FakeTime(), **rules: Any) -> Tokens:  # noqa: B008
    return Tokens(keys or KeySet.from_secret(SECRET), TokenRules(**rules), now=now)


def signed(claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **headers: Any) -> bytes:
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers or None).encode()


def raw(header: object, claims: object, signature: bytes = b"") -> bytes:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


def refused(of: Tokens, token: bytes) -> TokenProblem:
    with pytest.raises(TokenProblem) as caught:
        of.caller(token)
    return caught.value


# -- what holds -------------------------------------------------------------------------------------


def test_a_token_names_role_and_claims() -> None:
    caller = tokens().caller(signed({"role": "authenticated", "sub": "u1", "exp": NOW + 60}))
    assert (caller.role, caller.is_anonymous, caller.counted_as) == ("authenticated", False, "user u1")
    assert json.loads(caller.claims_json) == {"role": "authenticated", "sub": "u1", "exp": NOW + 60}


def test_a_token_without_a_role_is_anonymous_and_says_so_to_the_database() -> None:
    caller = tokens().caller(signed({"sub": "u1"}))
    assert (caller.role, caller.is_anonymous) == ("anon", True)
    assert json.loads(caller.claims_json) == {"sub": "u1", "role": "anon"}


def test_without_a_token_one_is_anonymous_or_nobody() -> None:
    assert json.loads(tokens(anonymous_role="web").anonymous().claims_json) == {"role": "web"}
    with pytest.raises(TokenProblem) as caught:
        tokens(anonymous_role=None).anonymous()
    assert (caught.value.kind, caught.value.message) == (
        TokenProblemKind.MISSING,
        "Anonymous access is disabled",
    )


def test_a_token_is_checked_once_and_forgotten_when_it_ends() -> None:
    time = FakeTime()
    checked = tokens(now=time)
    token = signed({"role": "authenticated", "exp": NOW + 60})
    assert checked.caller(token) is checked.caller(token)
    time.at = NOW + 90
    assert checked.caller(token).role == "authenticated"
    time.at = NOW + 91
    assert refused(checked, token).message == "JWT expired"


def test_no_more_than_so_many_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wedsync.api.callers.tokens._MOST_KNOWN", 3)
    checked = tokens()
    first = signed({"role": "authenticated", "sub": "0"})
    known = checked.caller(first)
    for number in range(1, 4):
        checked.caller(signed({"role": "authenticated", "sub": str(number)}))
    assert checked.caller(first) is not known
    assert checked.caller(first) == known


# -- what does not ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"exp": NOW - 31}, "JWT expired"),
        ({"nbf": NOW + 31}, "JWT not yet valid"),
        ({"iat": NOW + 31}, "JWT issued at future"),
        ({"exp": "soon"}, "The JWT 'exp' claim must be a number"),
        ({"nbf": True}, "The JWT 'nbf' claim must be a number"),
        ({"iat": [1]}, "The JWT 'iat' claim must be a number"),
        ({"aud": "others"}, "JWT not in audience"),
        ({"aud": ["others", "more"]}, "JWT not in audience"),
        ({"aud": 7}, "The JWT 'aud' claim must be a string or an array of strings"),
        ({"aud": ["us", 7]}, "The JWT 'aud' claim must be a string or an array of strings"),
    ],
)
def test_claims_that_do_not_hold(claims: dict[str, Any], message: str) -> None:
    # Not by jwt.encode, which refuses to make some of these.
    header = raw({"alg": "HS256"}, claims | {"role": "authenticated"}).rpartition(b".")[0]
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), header, "sha256")).rstrip(b"=")
    problem = refused(tokens(audience="us"), header + b"." + signature)
    assert (problem.kind, problem.message) == (TokenProblemKind.CLAIMS, message)


@pytest.mark.parametrize(
    "claims",
    [{"exp": NOW - 30}, {"nbf": NOW + 30}, {"iat": NOW + 30}, {"exp": None}, {"aud": []}, {"aud": ["us", "x"]}],
)
def test_claims_that_hold_with_clocks_that_differ_a_little(claims: dict[str, Any]) -> None:
    header = raw({"alg": "HS256"}, claims | {"role": "authenticated"}).rpartition(b".")[0]
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), header, "sha256")).rstrip(b"=")
    assert tokens(audience="us").caller(header + b"." + signature).role == "authenticated"


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (b"", "Empty JWT is sent in Authorization header"),
        (b"one", "Expected 3 parts in JWT; got 1"),
        (b"a.b.c.d.e", "Expected 3 parts in JWT; got 5"),
        (raw({"alg": "none"}, {"role": "service_role"}), "Wrong or unsupported encoding algorithm"),
        (raw({"alg": "None"}, {"role": "service_role"}), "Wrong or unsupported encoding algorithm"),
        (raw({"alg": "ES256"}, {"role": "service_role"}, b"x" * 64), "Wrong or unsupported encoding algorithm"),
        (raw({"alg": ["HS256"]}, {}), "Wrong or unsupported encoding algorithm"),
        (raw({"alg": "HS256", "kid": {}}, {}), "Wrong or unsupported encoding algorithm"),
        (raw({"alg": "HS256", "crit": ["b64"]}, {}), "Wrong or unsupported encoding algorithm"),
        (raw({"alg": "HS256"}, {"role": "service_role"}), "No suitable key or wrong key type"),
        (raw([], {}), "JWT cryptographic operation failed"),
        (b"?.?.?", "JWT cryptographic operation failed"),
    ],
)
def test_what_is_no_token_of_ours(token: bytes, message: str) -> None:
    problem = refused(tokens(), token)
    assert (problem.kind, problem.message) == (TokenProblemKind.UNREADABLE, message)


def test_a_token_that_is_nested_without_end_is_refused_like_any_other() -> None:
    deep = base64.urlsafe_b64encode(b'{"a":' + b"[" * 4000 + b"]" * 4000 + b"}").rstrip(b"=")
    assert refused(tokens(), deep + b".e30.AAAA").kind is TokenProblemKind.UNREADABLE


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_order(token: bytes) -> None:
    refused(tokens(), token)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_is_enough(place: int, change: int) -> None:
    token = bytearray(signed({"role": "service_role", "exp": NOW + 60}))
    last = len(token) - 1  # its low bits are no part of the signature
    token[place % last] ^= change
    refused(tokens(), bytes(token))


def test_without_keys_the_server_is_told_apart_from_the_token() -> None:
    assert refused(tokens(KeySet(())), b"a.b.c").kind is TokenProblemKind.NO_KEYS


@pytest.mark.parametrize("role", ["none", "", "a\0b", "postgres", 7])
def test_roles_that_are_not_served(role: object) -> None:
    problem = refused(tokens(roles=frozenset({"anon", "authenticated"})), signed({"role": role}))
    assert problem.kind is TokenProblemKind.ROLE


def test_the_role_none_is_never_served() -> None:
    assert refused(tokens(roles=None), signed({"role": "none"})).kind is TokenProblemKind.ROLE


# -- keys -------------------------------------------------------------------------------------------


def key_pair(kind: str) -> tuple[Any, dict[str, Any]]:
    if kind == "EC":
        private: Any = ec.generate_private_key(ec.SECP256R1())
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(private.public_key()))
    else:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key()))
    return private, {**public, "kid": kind, "use": "sig"}


@pytest.mark.parametrize(("kind", "algorithm"), [("EC", "ES256"), ("RSA", "RS256")])
def test_keys_of_a_set_are_found_by_name(kind: str, algorithm: str) -> None:
    pairs = {each: key_pair(each) for each in ("EC", "RSA")}
    keys = KeySet.from_jwks(json.dumps({"keys": [public for _, public in pairs.values()]}))
    private = pairs[kind][0]
    claims = {"role": "authenticated"}
    assert tokens(keys).caller(signed(claims, private, algorithm, kid=kind)).role == "authenticated"
    assert tokens(keys).caller(signed(claims, private, algorithm)).role == "authenticated"
    assert refused(tokens(keys), signed(claims, private, algorithm, kid="gone")).message == (
        "No suitable key or wrong key type"
    )
    assert refused(tokens(keys), signed(claims, key_pair(kind)[0], algorithm, kid=kind)).message == (
        "No suitable key or wrong key type"
    )


@pytest.mark.parametrize("kind", ["EC", "RSA"])
@pytest.mark.parametrize("form", ["pem", "jwk"])
def test_a_public_key_is_no_shared_secret(kind: str, form: str) -> None:
    private, public = key_pair(kind)
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    secret = pem if form == "pem" else json.dumps(public).encode()
    header = raw({"alg": "HS256", "kid": kind}, {"role": "service_role"}).rpartition(b".")[0]
    signature = base64.urlsafe_b64encode(hmac.digest(secret, header, "sha256")).rstrip(b"=")
    keys = KeySet.from_jwks(json.dumps({"keys": [public]}))
    both = keys + KeySet.from_secret(SECRET)
    for checked in (tokens(keys), tokens(both)):
        assert refused(checked, header + b"." + signature).kind is TokenProblemKind.UNREADABLE


def test_a_key_that_states_its_algorithm_is_for_this_one_only() -> None:
    private, public = key_pair("RSA")
    keys = KeySet.from_jwks(json.dumps({"keys": [{**public, "alg": "RS512"}]}))
    assert refused(tokens(keys), signed({"role": "x"}, private, "RS256")).kind is TokenProblemKind.UNREADABLE
    assert tokens(keys).caller(signed({"role": "x"}, private, "RS512")).role == "x"


@pytest.mark.parametrize(
    "secret",
    [
        "short",
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
        "{}",
        '{"keys": []}',
        '{"keys": 7}',
        '{"keys": [7]}',
        '{"keys": [{"kty": "oct"}]}',
        '{"keys": [{"kty": "oct", "k": "c2hvcnQ"}]}',
        '{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "enc"}]}',
        "{not json but long enough to be a shared secret}",
    ],
)
def test_what_is_no_key_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        KeySet.from_secret(secret)
    assert len(secret) < 10 or secret not in str(caught.value)


def test_tokens_of_our_own_keys_hold_the_new_ones_and_the_old() -> None:
    old = SigningKeys(SigningKey.symmetric(SECRET))
    new = SigningKeys(SigningKey.from_pem(new_private_key(Algorithm.ES256)), [old.current])
    checked = tokens(KeySet.of_ours(new))
    for keys in (old, new):
        assert checked.caller(keys.sign({"role": "authenticated"}).encode()).role == "authenticated"
    assert refused(tokens(KeySet.of_ours(old)), new.sign({"role": "x"}).encode()).kind is (
        TokenProblemKind.UNREADABLE
    )


def test_a_replaced_key_file_is_read_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path, time = tmp_path / "jwks.json", FakeTime()
    (old, old_public), (new, new_public) = key_pair("EC"), key_pair("EC")
    path.write_text(json.dumps({"keys": [{**old_public, "kid": "old"}]}))
    checked = Tokens(KeyFile(path), TokenRules(), now=time)
    old_token = signed({"role": "x"}, old, "ES256", kid="old")
    new_token = signed({"role": "x"}, new, "ES256", kid="new")
    assert checked.caller(old_token).role == "x"
    refused(checked, new_token)
    path.write_text("broken")
    time.at += 10
    refused(checked, new_token)
    assert checked.caller(old_token).role == "x"
    path.write_text(json.dumps({"keys": [{**new_public, "kid": "new"}]}))
    time.at += 10
    assert checked.caller(new_token).role == "x"
    refused(checked, old_token)


# -- headers and paths --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "apikey", "role"),
    [
        ("Bearer USER", "SERVICE", "authenticated"),
        ("bearer  USER ", None, "authenticated"),
        (None, "SERVICE", "service_role"),
        ("Basic dTpw", "SERVICE", "service_role"),
        (None, None, "anon"),
        (None, "", "anon"),
        ("Basic dTpw", None, "anon"),
    ],
)
async def test_the_bearer_token_counts_before_the_apikey(
    authorization: str | None, apikey: str | None, role: str
) -> None:
    made = {
        "USER": signed({"role": "authenticated"}).decode(),
        "SERVICE": signed({"role": "service_role"}).decode(),
    }

    def filled(header: str | None) -> bytes | None:
        for name, token in made.items():
            header = header and header.replace(name, token)
        return None if header is None else header.encode()

    caller: Caller = await Callers(tokens()).identify(filled(authorization), filled(apikey))
    assert caller.role == role


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".role", "plain"),
        (".app.roles[1]", "writer"),
        (".app.roles[9]", None),
        ('."https://x.test/role"', "far"),
        ('.app.roles[?(@ ^== "wri")]', "writer"),
        ('.app.roles[?(@ ==^ "er")]', "reader"),
        ('.app.roles[?(@ *== "it")]', "writer"),
        ('.app.roles[?(@ == "writer")]', "writer"),
        ('.app.roles[?(@ != "reader")]', "writer"),
        ('.app.roles[?(@ == "none")]', None),
        (".role.deeper", None),
        (".role[0]", None),
    ],
)
def test_the_role_may_be_deep_in_the_claims(path: str, found: str | None) -> None:
    claims = {"role": "plain", "app": {"roles": ["reader", "writer"]}, "https://x.test/role": "far"}
    assert ClaimPath(path).find(claims) == found


@pytest.mark.parametrize("path", ["", "role", ".", ".role.", ".a[b]", ".a[?(@ ~ 1)]", ".a b"])
def test_a_path_that_cannot_be_read(path: str) -> None:
    with pytest.raises(ConfigProblem, match="path of the role"):
        ClaimPath(path)
