"""Where everything lies below the platform's home."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SOCKET_PATH_BYTES = 107 - len("/.s.PGSQL.54329.lock")  # sun_path of Linux's unix(7), less PostgreSQL's name


@dataclass(frozen=True, slots=True)
class Home:
    """The directory that holds all the platform writes; every path in it has its name here."""

    root: Path

    @property
    def config_file(self) -> Path:
        return self.root / "wedsync.toml"

    @property
    def secrets(self) -> Path:
        """Directory of mode 0700; each file in it, of mode 0600, is one secret."""
        return self.root / "secrets"

    @property
    def tls(self) -> Path:
        return self.root / "tls"

    @property
    def ca_certificate(self) -> Path:
        return self.tls / "ca.crt"

    @property
    def pgdata(self) -> Path:
        """PostgreSQL's data directory (profile `local`)."""
        return self.root / "pgdata"

    @property
    def pgbackrest_config(self) -> Path:
        return self.root / "pgbackrest.conf"

    @property
    def archive_config(self) -> Path:
        """The same for `archive_command`: without the second region while that is given up."""
        return self.root / "pgbackrest-archive.conf"

    @property
    def given_up(self) -> Path:
        """The note that archiving goes on without the second region."""
        return self.root / "given-up.json"

    @property
    def given_up_settings(self) -> Path:
        """What the server says of it; not in the data directory, which a recovery replaces."""
        return self.root / "given-up.conf"

    def beat(self, service: str) -> Path:
        """Touched each second by a service that works."""
        return self.run / f"{service}.beat"

    @property
    def spool(self) -> Path:
        """pgBackRest's spool of asynchronous archiving."""
        return self.root / "spool"

    @property
    def kept(self) -> Path:
        """What a recovery puts aside before it changes anything."""
        return self.root / "kept"

    @property
    def sheltered(self) -> Path:
        """Second names of the WAL that is in no archive, should the data directory be deleted."""
        return self.root / "sheltered"

    @property
    def erasures(self) -> Path:
        """Proofs of what was erased for good."""
        return self.root / "erasures"

    @property
    def copies(self) -> Path:
        """Throw-away copies of the cluster at moments of the past, a directory each."""
        return self.root / "copies"

    @property
    def drills(self) -> Path:
        """Evidence of drills, a directory each."""
        return self.root / "drills"

    @property
    def engine(self) -> Path:
        """Debian packages unpacked without root, when the system has none."""
        return self.root / "engine"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def mail(self) -> Path:
        """Letters that no mail server takes, one file each."""
        return self.root / "mail"

    @property
    def run(self) -> Path:
        """Locks and pid files."""
        return self.root / "run"

    @property
    def state_db(self) -> Path:
        return self.root / "state.db"

    @property
    def sockets(self) -> Path:
        """Directory of PostgreSQL's socket: `run`, or one in /tmp where that path is too long."""
        if len(os.fsencode(self.run)) <= _SOCKET_PATH_BYTES:
            return self.run
        short = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return Path("/tmp") / f"wedsync-{os.getuid()}-{short}"  # noqa: S108 - made 0700, checked by its user

    def resolve(self, path: str) -> Path:
        """A path of the configuration: absolute as it is, relative below the home."""
        return self.root / path


def default_home(given: str | None, environment: Mapping[str, str]) -> Home:
    """The home to use: `--home`, else `WEDSYNC_HOME`, else `~/.wedsync`."""
    chosen = given or environment.get("WEDSYNC_HOME")
    root = Path(chosen) if chosen else Path(environment.get("HOME", "/")) / ".wedsync"
    return Home(root.expanduser().absolute())
