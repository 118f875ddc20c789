"""Keys sign, and what they signed holds; nothing else does."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from wedsync.api.callers import Algorithm, SigningKey, SigningKeys, new_private_key
from wedsync.errors import SecretProblem

SECRET = "s" * 40
ES256 = SigningKey.from_pem(new_private_key(Algorithm.ES256))
RS256 = SigningKey.from_pem(new_private_key(Algorithm.RS256))
HS256 = SigningKey.symmetric(SECRET)
CLAIMS = {"sub": "ada", "aud": "authenticated", "exp": 4_000_000_000}


@pytest.mark.parametrize("key", [ES256, RS256, HS256], ids=lambda key: key.algorithm)
def test_what_a_key_signs_holds(key: SigningKey) -> None:
    keys = SigningKeys(key)
    assert keys.verify(keys.sign(CLAIMS), audience="authenticated") == CLAIMS


def test_tokens_of_the_key_before_hold_until_it_is_taken_away() -> None:
    before = SigningKeys(RS256)
    token = before.sign(CLAIMS)
    assert SigningKeys(ES256, [RS256]).verify(token) == CLAIMS
    with pytest.raises(jwt.PyJWTError):
        SigningKeys(ES256).verify(token)


def test_the_homes_secret_holds_beside_a_key_pair() -> None:
    assert SigningKeys(ES256, [HS256]).verify(SigningKeys(HS256).sign(CLAIMS)) == CLAIMS


def test_a_public_key_is_never_taken_for_a_secret() -> None:
    public = RS256.verifier.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    forged = _signed_by_hand({"alg": "HS256", "typ": "JWT", "kid": RS256.kid}, CLAIMS, public)
    with pytest.raises(jwt.PyJWTError):
        SigningKeys(RS256, [HS256]).verify(forged)


def test_no_signature_at_all_is_refused() -> None:
    none = jwt.encode(CLAIMS, "", algorithm="none")
    with pytest.raises(jwt.PyJWTError):
        SigningKeys(HS256, [ES256]).verify(none)


def test_an_expired_token_and_one_for_others_are_refused() -> None:
    keys = SigningKeys(HS256)
    with pytest.raises(jwt.ExpiredSignatureError):
        keys.verify(keys.sign({**CLAIMS, "exp": int(time.time()) - 5}))
    with pytest.raises(jwt.InvalidAudienceError):
        keys.verify(keys.sign({**CLAIMS, "aud": "others"}), audience="authenticated")
    with pytest.raises(jwt.MissingRequiredClaimError):
        keys.verify(keys.sign({"sub": "ada"}))


@given(position=st.integers(min_value=0, max_value=10_000), change=st.integers(min_value=1, max_value=255))
def test_no_changed_byte_goes_unnoticed(position: int, change: int) -> None:
    keys = SigningKeys(ES256, [HS256])
    head, body, signature = keys.sign(CLAIMS).split(".")
    raw = bytearray(base64.urlsafe_b64decode(body + "=="))
    raw[position % len(raw)] ^= change
    forged = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    with pytest.raises(jwt.PyJWTError):
        keys.verify(f"{head}.{forged}.{signature}")


def test_the_key_set_shows_public_keys_only() -> None:
    shown = SigningKeys(ES256, [RS256, HS256]).jwks()["keys"]
    assert isinstance(shown, list)
    assert [key["kid"] for key in shown] == [ES256.kid, RS256.kid]
    assert all(not {"d", "p", "q", "k"} & set(key) for key in shown)
    assert SECRET not in json.dumps(shown)
    fetched = jwt.PyJWKSet.from_dict({"keys": shown})
    token = SigningKeys(ES256).sign(CLAIMS)
    assert jwt.decode(token, fetched[ES256.kid or ""], algorithms=["ES256"], audience="authenticated") == CLAIMS


def test_what_is_no_key_is_said_to_be_none() -> None:
    with pytest.raises(SecretProblem):
        SigningKey.from_pem("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n")


def _signed_by_hand(header: dict[str, object], claims: dict[str, object], secret: bytes) -> str:
    def part(value: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part(header) + b"." + part(claims)
    signature = base64.urlsafe_b64encode(hmac.digest(secret, signed, hashlib.sha256)).rstrip(b"=")
    return (signed + b"." + signature).decode()
