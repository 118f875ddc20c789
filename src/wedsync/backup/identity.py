"""Who a cluster is, told to pgBackRest when the cluster's own files are gone.

`pgbackrest archive-get` reads `global/pg_control` of the data directory to find out which cluster's WAL is
wanted, and fails without it. So a copy is kept in the home, and where that is gone too (a new machine, only
the repository and its key saved), one is made: a fresh `initdb` of the same version, with the lost
cluster's system identifier written into it.
"""

import shutil
import struct
import tempfile
from datetime import timedelta
from pathlib import Path

from wedsync.cluster import Engine
from wedsync.config import Home
from wedsync.process import run

_CONTROL = Path("global/pg_control")
_INITDB = timedelta(minutes=2)
_CASTAGNOLI = 0x82F63B78
_EMPTY = 0xFFFFFFFF


class IdentityCard:
    """Directories that hold nothing but a `pg_control`, by system identifier."""

    def __init__(self, *, engine: Engine, home: Home) -> None:
        self._engine = engine
        self._home = home

    async def directory_for(self, system_id: str, pgdata: Path) -> Path:
        """A directory that pgBackRest takes for the data directory of the cluster with this identifier."""
        card = self._home.run / "identity" / system_id
        if read_system_id(card / _CONTROL) == system_id:
            return card
        if read_system_id(pgdata / _CONTROL) == system_id:
            _store(card, (pgdata / _CONTROL).read_bytes())
            return card
        with tempfile.TemporaryDirectory(prefix="identity-", dir=self._home.run) as scratch:
            made = Path(scratch) / "pgdata"
            finished = await run(
                [self._engine.program("initdb"), "--no-sync", "--locale=C", "--encoding=UTF8", "-D", made],
                deadline=_INITDB,
                env=self._engine.environment,
            )
            finished.check(hint="the directory of the home must be writable and have 50 MB free")
            _store(card, with_system_id((made / _CONTROL).read_bytes(), int(system_id)))
        return card


def read_system_id(control: Path) -> str | None:
    """The system identifier in a `pg_control` (its first eight bytes); `None` if there is no such file."""
    try:
        with control.open("rb") as file:
            head = file.read(8)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return str(struct.unpack("<Q", head)[0]) if len(head) == 8 else None


def with_system_id(control: bytes, system_id: int) -> bytes:
    """A `pg_control` with another system identifier and a right checksum again."""
    end = _checksum_at(control)
    body = struct.pack("<Q", system_id) + control[8:end]
    return body + struct.pack("<I", crc32c(body)) + control[end + 4 :]


def _checksum_at(control: bytes) -> int:
    """Where the checksum is: its place differs between versions, but it always covers all before it."""
    value = _EMPTY
    for end in range(1024):
        if end >= 64 and struct.unpack_from("<I", control, end)[0] == value ^ _EMPTY:
            return end
        value = _crc32c_step(value, control[end])
    raise ValueError("this pg_control has no valid checksum")


def crc32c(content: bytes) -> int:
    """CRC-32C (RFC 3720), which PostgreSQL uses for `pg_control`."""
    value = _EMPTY
    for byte in content:
        value = _crc32c_step(value, byte)
    return value ^ _EMPTY


def _crc32c_step(value: int, byte: int) -> int:
    value ^= byte
    for _ in range(8):
        value = (value >> 1) ^ (_CASTAGNOLI if value & 1 else 0)
    return value


def _store(card: Path, control: bytes) -> None:
    target = card / _CONTROL
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_suffix(".new")
    draft.write_bytes(control)
    shutil.move(draft, target)
