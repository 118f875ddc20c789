"""Tokens, codes and their hashes: what is sent out, and what is kept instead."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

_NONCE_BYTES = 12
PKCE_PREFIX = "pkce_"


def new_token() -> str:
    """256 random bits, safe in a URL."""
    return secrets.token_urlsafe(32)


def new_code() -> str:
    """Six random digits."""
    return f"{secrets.randbelow(1_000_000):06d}"


def hash_of(token: str) -> bytes:
    """What is kept of a random token: nothing slow is needed against guessing 256 bits."""
    return hashlib.sha256(token.encode()).digest()


def challenge_of(verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class AuthSecret:
    """The keys of sign-in, each for one use, all made from one secret of the home (RFC 5869)."""

    refresh: bytes = field(repr=False)
    codes: bytes = field(repr=False)
    subjects: bytes = field(repr=False)
    factors: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: str) -> "AuthSecret":
        """The keys that a secret of at least 32 characters gives."""
        material = hashlib.sha256(secret.encode()).digest()
        return cls(*(_expanded(material, use) for use in ("refresh", "codes", "subjects", "factors")))

    def successor(self, refresh_token: str) -> str:
        """The refresh token that follows one: the same whenever it is asked for, and nobody else can tell it."""
        digest = hmac.digest(self.refresh, refresh_token.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def code_hash(self, email: str, code: str) -> bytes:
        """What is kept of a code that was sent to an address."""
        return hmac.digest(self.codes, f"{email.lower()}\n{code}".encode(), "sha256")

    def subject(self, kind: str, value: str) -> bytes:
        """Under what failures are counted: neither address nor account can be read from it."""
        return hmac.digest(self.subjects, f"{kind}\n{value.lower()}".encode(), "sha256")

    def seal(self, secret: bytes, factor: UUID) -> bytes:
        """A factor's secret, encrypted for this factor only."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self.factors).encrypt(nonce, secret, factor.bytes)

    def open(self, sealed: bytes, factor: UUID) -> bytes | None:
        """The secret; `None` if it was sealed with another key or for another factor."""
        try:
            return AESGCM(self.factors).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], factor.bytes)
        except InvalidTag:
            return None


def _expanded(material: bytes, use: str) -> bytes:
    return HKDFExpand(SHA256(), 32, f"wedsync sign-in {use}".encode()).derive(material)
