"""The keys that tokens are checked with: a secret, a JWK, or a JWKS; each key for its own algorithms only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import jwt
import msgspec
from jwt.algorithms import get_default_algorithms

from wedsync.api.callers.signing import SigningKeys
from wedsync.errors import ConfigProblem

_ALGORITHMS = {
    ("oct", None): ("HS256", "HS384", "HS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""By type and curve: a token's header never chooses what a key is used as."""
_SHORTEST_SECRET_BYTES = 32
_IMPLEMENTED = get_default_algorithms()


@dataclass(frozen=True, slots=True)
class Key:
    """One key that checks signatures."""

    kid: str | None
    algorithms: tuple[str, ...]
    material: Any

    def fits(self, algorithm: str, kid: str | None) -> bool:
        """Whether a token of this header may be checked with it; a key without a name is for all names."""
        return algorithm in self.algorithms and (kid is None or self.kid is None or kid == self.kid)

    def verifies(self, signed: bytes, signature: bytes, algorithm: str) -> bool:
        """Whether the signature is this key's."""
        return bool(_IMPLEMENTED[algorithm].verify(signed, self.material, signature))


@dataclass(frozen=True, slots=True)
class KeySet:
    """All keys that hold at one time."""

    keys: tuple[Key, ...] = ()

    @classmethod
    def from_secret(cls, secret: str | bytes) -> "KeySet":
        """From a shared secret, a JWK or a JWKS, told apart by their form. Raises `ConfigProblem`."""
        text = secret.decode("utf-8", "surrogateescape") if isinstance(secret, bytes) else secret
        stripped = text.strip()
        if stripped.startswith("{"):
            return cls.from_jwks(stripped)
        material = stripped.encode("utf-8", "surrogateescape")
        if len(material) < _SHORTEST_SECRET_BYTES:
            raise ConfigProblem(
                "the secret for tokens is too short",
                detail=f"{len(material)} bytes of at least {_SHORTEST_SECRET_BYTES}",
                hint="make one: openssl rand -base64 32",
            )
        if material.startswith(b"-----BEGIN"):
            raise ConfigProblem(
                "the secret for tokens is a PEM file",
                detail="as a shared secret a public key would let everybody sign",
                hint="give a key pair's public part as JWKS: --jwks FILE",
            )
        return cls((Key(None, _ALGORITHMS["oct", None], material),))

    @classmethod
    def from_jwks(cls, text: str | bytes) -> "KeySet":
        """From the JSON of a JWK or a JWKS; keys for encryption are left out. Raises `ConfigProblem`."""
        try:
            found = msgspec.json.decode(text, type=dict[str, Any])
            entries = cast("Sequence[Mapping[str, Any]]", found.get("keys", [found]))
            keys = tuple(_key(entry) for entry in entries if entry.get("use", "sig") == "sig")
        except (jwt.PyJWTError, AttributeError, LookupError, TypeError, ValueError) as bad:
            # The words of the library may repeat the key: its kind is enough.
            raise ConfigProblem(
                "the JWKS cannot be read",
                detail=type(bad).__name__,
                hint='it is JSON like {"keys": [{"kty": "EC", "crv": "P-256", "kid": …, "x": …, "y": …}]}',
            ) from None
        if not keys:
            raise ConfigProblem("the JWKS holds no key for signatures", hint='each has "use": "sig", or none')
        return cls(keys)

    @classmethod
    def of_ours(cls, ours: SigningKeys) -> "KeySet":
        """What checks the tokens that we sign ourselves."""
        public = cls.from_jwks(msgspec.json.encode(ours.jwks())) if ours.jwks()["keys"] else cls()
        secrets = [key.private for key in ours.accepted if isinstance(key.private, str)]
        return sum((cls.from_secret(secret) for secret in secrets), public)

    def __add__(self, other: "KeySet") -> "KeySet":
        return KeySet(self.keys + other.keys)

    def fitting(self, algorithm: str, kid: str | None) -> list[Key]:
        """The keys that a token of this header may be checked with, the one it names first."""
        found = [key for key in self.keys if key.fits(algorithm, kid)]
        return sorted(found, key=lambda key: key.kid != kid)

    def knows(self, algorithm: str) -> bool:
        """Whether any key is for this algorithm."""
        return any(algorithm in key.algorithms for key in self.keys)


def _key(entry: Mapping[str, Any]) -> Key:
    made = jwt.PyJWK(dict(entry))
    kind = entry["kty"]
    possible = _ALGORITHMS.get((kind, entry.get("crv"))) or _ALGORITHMS.get((kind, None))
    if possible is None:
        raise ValueError("unsupported kind of key")
    stated = entry.get("alg")
    if stated is not None and stated not in possible:
        raise ValueError("the algorithm does not fit the key")
    if kind == "oct" and len(cast("bytes", made.key)) < _SHORTEST_SECRET_BYTES:
        raise ValueError("the key is too short")
    return Key(entry.get("kid"), (stated,) if stated else possible, _public(made.key))


def _public(material: Any) -> Any:
    """The public part, where a private key was given."""
    return material.public_key() if hasattr(material, "public_key") else material


class KeyFile:
    """A JWKS file that may be replaced while we run: read again when a token names a key that is not known."""

    def __init__(self, path: Path, *, besides: KeySet | None = None) -> None:
        """`besides` are keys that hold in any case."""
        self._path = path
        self._besides = besides or KeySet()
        self._stamp: tuple[int, int] | None = None

    def read(self) -> KeySet:
        """The keys of the file as it is now. Raises `ConfigProblem`."""
        try:
            seen = self._path.stat()
            self._stamp = (seen.st_mtime_ns, seen.st_size)
            text = self._path.read_bytes()
        except OSError as error:
            raise ConfigProblem(
                "the JWKS file cannot be read", detail=str(error), hint="--jwks names a readable file"
            ) from error
        return self._besides + KeySet.from_jwks(text)

    def changed(self) -> bool:
        """Whether another file is there than the one that was read."""
        try:
            seen = self._path.stat()
        except OSError:
            return False
        return (seen.st_mtime_ns, seen.st_size) != self._stamp
