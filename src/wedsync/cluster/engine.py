"""Where the programs of PostgreSQL and pgBackRest are, and how to start them.

They come from the system, or from Debian packages unpacked below the home (no root needed); those find
their libraries through `LD_LIBRARY_PATH`, so every start goes through `Engine.environment`.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from wedsync.config import Home
from wedsync.errors import EngineMissing

OLDEST_POSTGRESQL = 15
OLDEST_PGBACKREST = (2, 45)

_POSTGRESQL = "usr/lib/postgresql"
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "TZ", "LANG", "LC_ALL", "TMPDIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One PostgreSQL and one pgBackRest that belong together."""

    bin_dir: Path
    postgresql_version: int
    """Major version, such as 15."""
    pgbackrest: Path
    pgbackrest_version: tuple[int, int]
    library_path: str | None = None

    def program(self, name: str) -> Path:
        """Path of one of PostgreSQL's programs."""
        return self.bin_dir / name

    @property
    def environment(self) -> dict[str, str]:
        """A clean environment for the engine's programs: no `PG…` or `PGBACKREST_…` variable leaks in."""
        clean = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        if self.library_path:
            clean["LD_LIBRARY_PATH"] = self.library_path
        return clean


def find_engine(home: Home) -> Engine:
    """The newest PostgreSQL and the pgBackRest of the system, else those unpacked below the home.

    Each is looked for on its own: where the system has one of them, only the other is unpacked. A data
    directory fixes the major version: where one exists, only its own version will do. Raises
    `EngineMissing` that says what was looked for and where.
    """
    wanted = _version_of_data_directory(home)
    roots = (Path("/"), home.engine)
    servers = [found for root in roots if (found := _newest_postgresql(root, wanted))]
    backups = [found for root in roots if (found := root / "usr/bin/pgbackrest").exists()]
    if not servers:
        raise EngineMissing(
            f"no PostgreSQL {wanted or f'{OLDEST_POSTGRESQL} or newer'} was found",
            detail="looked in " + ", ".join(str(root / _POSTGRESQL) for root in roots),
            hint=f"the data directory was made by version {wanted}: install postgresql-{wanted}"
            if wanted
            else "bin/up installs it",
        )
    if not backups:
        raise EngineMissing(
            "pgBackRest was not found",
            detail="looked in " + ", ".join(str(root / "usr/bin") for root in roots),
            hint="bin/up installs it",
        )
    (version, bin_dir), pgbackrest = servers[0], backups[0]
    is_unpacked = any(path.is_relative_to(home.engine) for path in (bin_dir, pgbackrest))
    library_path = (_library_path(home.engine) or None) if is_unpacked else None
    return Engine(
        bin_dir=bin_dir,
        postgresql_version=version,
        pgbackrest=pgbackrest,
        pgbackrest_version=_pgbackrest_version(pgbackrest, library_path),
        library_path=library_path,
    )


def _newest_postgresql(root: Path, wanted: int | None) -> tuple[int, Path] | None:
    base = root / _POSTGRESQL
    found = (
        (int(entry.name), entry / "bin")
        for entry in (base.iterdir() if base.is_dir() else ())
        if entry.name.isdigit() and (entry / "bin/initdb").exists() and (entry / "bin/postgres").exists()
    )
    return max(
        (it for it in found if it[0] == wanted or (wanted is None and it[0] >= OLDEST_POSTGRESQL)), default=None
    )


def _version_of_data_directory(home: Home) -> int | None:
    try:
        return int((home.pgdata / "PG_VERSION").read_text().strip())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def _library_path(root: Path) -> str:
    libraries = sorted({path.parent for path in root.glob("usr/lib/*-linux-gnu*/*.so*")})
    libraries += sorted({path.parent for path in root.glob("lib/*-linux-gnu*/*.so*")})
    return ":".join(str(path) for path in libraries)


def _pgbackrest_version(program: Path, library_path: str | None) -> tuple[int, int]:
    environment = {"LD_LIBRARY_PATH": library_path} if library_path else {}
    try:
        said = subprocess.run(
            [str(program), "version"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        ).stdout
    except OSError as error:
        raise EngineMissing("pgBackRest cannot be started", detail=str(error)) from error
    match = re.search(r"(\d+)\.(\d+)", said)
    if match is None:
        raise EngineMissing("pgBackRest does not say its version", detail=said.strip() or "it printed nothing")
    version = int(match[1]), int(match[2])
    if version < OLDEST_PGBACKREST:
        raise EngineMissing(
            f"pgBackRest {version[0]}.{version[1]} is too old",
            hint=f"{OLDEST_PGBACKREST[0]}.{OLDEST_PGBACKREST[1]} or newer is needed",
        )
    return version
