"""The rescue kit: what a home is made of besides its data, sealed with a passphrase, small enough to print.

A machine that is lost takes the configuration and the keys of the backups with it. The kit holds both, so that a
bare machine, the kit and a repository are enough (docs/how-to/total-loss.md). Sealed as scrypt (RFC 7914) and
AES-256-GCM give it; the parameters are in its first line and are part of what is authenticated.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from wedsync import __version__
from wedsync.cluster import write_private
from wedsync.config import Home
from wedsync.errors import RescueKitProblem

_BEGIN = "-----BEGIN WEDSYNC RESCUE KIT-----"
_END = "-----END WEDSYNC RESCUE KIT-----"
_SHAPE = re.compile(
    re.escape(_BEGIN)
    + r"\s+scrypt n=(?P<n>\d+) r=(?P<r>\d+) p=(?P<p>\d+)\s+(?P<body>[A-Za-z0-9+/=\s]+?)\s*"
    + re.escape(_END)
)
_COST = (2**17, 8, 1)  # 128 MB and a third of a second for each guess (OWASP's choice for scrypt)
_MOST_COST = 2**20
_SALT_BYTES, _NONCE_BYTES, _KEY_BYTES = 16, 12, 32
_LINE = 64
LEAST_PASSPHRASE = 12
"""Characters of a passphrase at the least."""


class RescueKit(msgspec.Struct, frozen=True, kw_only=True):
    """What of a home is in no repository and cannot be made again."""

    made_at: datetime
    made_by: str
    """The version of the program."""
    config: str
    """The text of wedsync.toml."""
    secrets: Mapping[str, bytes]
    tls: Mapping[str, bytes]
    """Certificate authority and certificates: clients that trust the authority go on to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KitDifference:
    """What of a home is not as it is in a kit: names of files."""

    missing: tuple[str, ...]
    """In the home and not in the kit."""
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    """In the kit and not in the home any more."""

    @property
    def fits(self) -> bool:
        """Whether the kit would make the home as it is now."""
        return not (self.missing or self.changed or self.gone)


def gather_kit(home: Home, *, at: datetime) -> RescueKit:
    """The kit of a home that was set up. Raises `RescueKitProblem` for one that was not."""
    if not home.config_file.exists() or not any(home.secrets.glob("repo*_key")):
        raise RescueKitProblem(
            "this home has no repository keys yet", detail=str(home.root), hint="bin/up makes them"
        )
    return RescueKit(
        made_at=at,
        made_by=__version__,
        config=home.config_file.read_text(encoding="utf-8"),
        secrets=_files(home.secrets),
        tls=_files(home.tls),
    )


def seal_kit(kit: RescueKit, passphrase: str) -> str:
    """The kit as text for a file or a sheet of paper. Raises `RescueKitProblem` for a short passphrase."""
    if len(passphrase) < LEAST_PASSPHRASE:
        raise RescueKitProblem(
            "the passphrase is too short",
            detail=f"{len(passphrase)} characters; {LEAST_PASSPHRASE} are the least",
            hint="whoever has kit and passphrase has the backups: take five words",
        )
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 0.1 s, kits are rare

    salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
    head = _head(_COST)
    sealed = AESGCM(_key(passphrase, salt, _COST)).encrypt(nonce, msgspec.json.encode(kit), head.encode())
    import base64  # noqa: PLC0415 - as above

    body = base64.b64encode(salt + nonce + sealed).decode()
    lines = [body[at : at + _LINE] for at in range(0, len(body), _LINE)]
    return "\n".join([_BEGIN, head, *lines, _END]) + "\n"


def unseal_kit(text: str, passphrase: str) -> RescueKit:
    """The kit in a text that `seal_kit` made. Raises `RescueKitProblem`: none, damaged, or another passphrase."""
    found = _SHAPE.search(text)
    if found is None:
        raise RescueKitProblem(
            "this is no rescue kit",
            detail=f"it lacks the lines {_BEGIN} … {_END}",
            hint="give the file that `wedsync kit make` wrote, whole",
        )
    cost = (int(found["n"]), int(found["r"]), int(found["p"]))
    if cost[0] > _MOST_COST or cost[1] > _COST[1] or cost[2] > _COST[2]:
        raise RescueKitProblem("this rescue kit is damaged", detail=f"its cost is {cost[0]}, {cost[1]}, {cost[2]}")
    import base64  # noqa: PLC0415 - kits are rare
    import binascii  # noqa: PLC0415

    from cryptography.exceptions import InvalidTag  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    try:
        sealed = base64.b64decode("".join(found["body"].split()), validate=True)
        salt, nonce = sealed[:_SALT_BYTES], sealed[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
        plain = AESGCM(_key(passphrase, salt, cost)).decrypt(
            nonce, sealed[_SALT_BYTES + _NONCE_BYTES :], _head(cost).encode()
        )
        return msgspec.json.decode(plain, type=RescueKit)
    except (InvalidTag, binascii.Error, ValueError) as error:
        raise RescueKitProblem(
            "the rescue kit cannot be opened",
            detail="the passphrase is another one, or a character of the kit was changed",
            hint="type the passphrase again; compare the kit with another copy of it",
        ) from error


def unpack_kit(kit: RescueKit, home: Home) -> None:
    """Write what the kit holds into a home that is not there yet.

    A home with the same keys is left as it is: an earlier call was stopped. Raises `RescueKitProblem` for a home
    that is another one.
    """
    there = _files(
        home.secrets
    )  # also where the configuration is gone: no key of one is mixed with those of another
    others = [name for name, value in kit.secrets.items() if (there.get(name) or value) != value]
    if others:
        raise RescueKitProblem(
            f"there is another home at {home.root}",
            detail=f"its {', '.join(sorted(others)[:3])} differ from the kit's",
            hint="give --home a directory that is not there yet, or move that home away",
        )
    for directory, files in ((home.secrets, kit.secrets), (home.tls, kit.tls)):
        for name, content in files.items():
            write_private(directory / name, content)
    write_private(home.config_file, kit.config.encode())  # last of all: with it, it is a home


def put_back_secrets(kit: RescueKit, home: Home, *, replace: bool, at: datetime) -> list[str]:
    """Write the secrets of a kit that a home lacks, and, if `replace`, those that differ; their names.

    What is replaced stays beside it, as `<name>.before-<moment>`.
    """
    written: list[str] = []
    for name, content in sorted(kit.secrets.items()):
        path = home.secrets / name
        there = path.read_bytes() if path.exists() else b""
        if there == content or (there and not replace):
            continue
        if there:
            write_private(path.with_name(f"{name}.before-{at:%Y%m%d-%H%M%S}"), there)
        write_private(path, content, replace=True)
        written.append(name)
    return written


def compare_kit(kit: RescueKit, home: Home) -> KitDifference:
    """Whether the kit still makes this home; certificates are renewed and do not count."""
    then = {f"secrets/{name}": value for name, value in kit.secrets.items()} | {
        home.config_file.name: kit.config.encode()
    }
    now = {f"secrets/{name}": value for name, value in _files(home.secrets).items()} | {
        home.config_file.name: home.config_file.read_bytes()
    }
    return KitDifference(
        missing=tuple(sorted(now.keys() - then.keys())),
        changed=tuple(sorted(name for name in now.keys() & then.keys() if now[name] != then[name])),
        gone=tuple(sorted(then.keys() - now.keys())),
    )


def _head(cost: tuple[int, int, int]) -> str:
    return f"scrypt n={cost[0]} r={cost[1]} p={cost[2]}"


def _key(passphrase: str, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt  # noqa: PLC0415 - as in seal_kit

    return Scrypt(salt=salt, length=_KEY_BYTES, n=cost[0], r=cost[1], p=cost[2]).derive(passphrase.encode())


def _files(directory: Path) -> dict[str, bytes]:
    """The files of a directory by name, without drafts of files that are being written."""
    if not directory.is_dir():
        return {}
    found = sorted(path for path in directory.iterdir() if path.is_file() and not path.name.startswith("."))
    return {path.name: path.read_bytes() for path in found}
