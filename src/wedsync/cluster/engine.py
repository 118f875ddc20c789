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
    """The newest PostgreSQL of the system, else the one unpacked below the home.

    A data directory fixes the major version: where one exists, only its own version will do.
    Raises `EngineMissing` that says what was looked for and where.
    """
    wanted = _version_of_data_directory(home)
    looked: list[str] = []
    for root, library_path in ((Path("/"), None), (home.engine, _library_path(home.engine))):
        base = root / "usr/lib/postgresql"
        looked.append(str(base))
        found = sorted(
            (int(entry.name), entry / "bin")
            for entry in (base.iterdir() if base.is_dir() else ())
            if entry.name.isdigit() and (entry / "bin/initdb").exists() and (entry / "bin/postgres").exists()
        )
        usable = [
            item for item in found if item[0] == wanted or (wanted is None and item[0] >= OLDEST_POSTGRESQL)
        ]
        pgbackrest = root / "usr/bin/pgbackrest"
        if usable and pgbackrest.exists():
            version, bin_dir = usable[-1]
            return Engine(
                bin_dir=bin_dir,
                postgresql_version=version,
                pgbackrest=pgbackrest,
                pgbackrest_version=_pgbackrest_version(pgbackrest, library_path),
                library_path=library_path,
            )
    raise EngineMissing(
        f"no PostgreSQL {wanted or f'{OLDEST_POSTGRESQL} or newer'} with pgBackRest was found",
        detail="looked in " + ", ".join(looked),
        hint=f"the data directory was made by version {wanted}: install postgresql-{wanted}"
        if wanted
        else "bin/up installs both",
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
        raise EngineMissing(
            "pgBackRest does not say its version", detail=said.strip() or "it printed nothing"
        )
    version = int(match[1]), int(match[2])
    if version < OLDEST_PGBACKREST:
        raise EngineMissing(
            f"pgBackRest {version[0]}.{version[1]} is too old",
            hint=f"{OLDEST_PGBACKREST[0]}.{OLDEST_PGBACKREST[1]} or newer is needed",
        )
    return version
