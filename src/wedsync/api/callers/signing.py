"""The keys that tokens are signed with and checked against."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as new_rsa_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from wedsync.errors import SecretProblem

_RSA_BITS = 2048
_THUMBPRINT_OF = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}  # RFC 7638, section 3.2


class Algorithm(StrEnum):
    """How a token is signed (RFC 7518, section 3.1)."""

    HS256 = "HS256"
    ES256 = "ES256"
    RS256 = "RS256"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One key. A symmetric one has no `kid`: it is told to nobody, not even as a hash."""

    algorithm: Algorithm
    private: str | EllipticCurvePrivateKey | RSAPrivateKey = field(repr=False)
    kid: str | None = None
    public_jwk: Mapping[str, object] | None = None

    @classmethod
    def symmetric(cls, secret: str) -> "SigningKey":
        """A key for HS256."""
        return cls(algorithm=Algorithm.HS256, private=secret)

    @classmethod
    def from_pem(cls, pem: str) -> "SigningKey":
        """A key for ES256 (P-256) or RS256, whichever the PEM holds; `SecretProblem` if neither."""
        try:
            private = load_pem_private_key(pem.encode(), None)
        except (ValueError, TypeError) as error:
            raise SecretProblem("a signing key is not a PEM without a password", detail=str(error)) from error
        match private:
            case EllipticCurvePrivateKey() if isinstance(private.curve, SECP256R1):
                algorithm, jwk = Algorithm.ES256, ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
            case RSAPrivateKey() if private.key_size >= _RSA_BITS:
                algorithm, jwk = Algorithm.RS256, RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
            case _:
                raise SecretProblem(
                    "a signing key of a kind that is not used here",
                    detail=type(private).__name__,
                    hint=f"P-256 for ES256, RSA of at least {_RSA_BITS} bits for RS256",
                )
        kid = _thumbprint(jwk)
        public = {name: jwk[name] for name in _THUMBPRINT_OF[str(jwk["kty"])]}
        return cls(
            algorithm=algorithm,
            private=private,
            kid=kid,
            public_jwk={**public, "kid": kid, "alg": algorithm.value, "use": "sig", "key_ops": ["verify"]},
        )

    @property
    def verifier(self) -> object:
        """What checks a signature of this key."""
        return self.private if isinstance(self.private, str) else self.private.public_key()


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The key that signs, and all whose signatures hold: the same, the one before it, the home's secret."""

    current: SigningKey
    older: Sequence[SigningKey] = ()

    @property
    def accepted(self) -> tuple[SigningKey, ...]:
        return (self.current, *self.older)

    def sign(self, claims: Mapping[str, object]) -> str:
        """A token with these claims."""
        headers = {"kid": self.current.kid} if self.current.kid is not None else None
        return jwt.encode(
            dict(claims), self.current.private, algorithm=self.current.algorithm.value, headers=headers
        )

    def verify(self, token: str, *, audience: str | None = None) -> dict[str, object]:
        """The claims of a token that holds; raises `jwt.PyJWTError` for any other.

        A key checks only tokens of its own algorithm: a public key is never taken for a secret.
        """
        header = jwt.get_unverified_header(token)
        problem: jwt.PyJWTError = jwt.InvalidKeyError("signed by no key of ours")
        for key in self.accepted:
            if header.get("alg") != key.algorithm.value or (key.kid is not None and header.get("kid") != key.kid):
                continue
            try:
                return jwt.decode(
                    token,
                    key.verifier,  # pyright: ignore[reportArgumentType] - PyJWT names each key class
                    algorithms=[key.algorithm.value],
                    audience=audience,
                    options={"require": ["exp"], "verify_aud": audience is not None},
                )
            except jwt.InvalidSignatureError as error:
                problem = error
        raise problem

    def jwks(self) -> dict[str, object]:
        """The public keys (RFC 7517); empty where tokens are signed with a secret."""
        return {"keys": [dict(key.public_jwk) for key in self.accepted if key.public_jwk is not None]}


def new_private_key(algorithm: Algorithm) -> str:
    """A new key for an asymmetric algorithm, as PEM."""
    match algorithm:
        case Algorithm.ES256:
            key = new_ec_key(SECP256R1())
        case Algorithm.RS256:
            key = new_rsa_key(65537, _RSA_BITS)
        case Algorithm.HS256:
            raise ValueError("HS256 has a secret, not a key pair")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _thumbprint(jwk: Mapping[str, object]) -> str:
    members = {name: jwk[name] for name in _THUMBPRINT_OF[str(jwk["kty"])]}
    digest = hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
