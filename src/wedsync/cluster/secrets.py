"""Passwords and keys: one file each, readable by their owner only."""

import os
import secrets as randomness
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from wedsync.config import Home
from wedsync.errors import SecretProblem


def random_password() -> str:
    """A password of 256 random bits, safe in a URL."""
    return randomness.token_urlsafe(32)


class Secrets:
    """The secrets of a home. A secret is made once, whoever asks first, and never changed here."""

    def __init__(self, home: Home) -> None:
        self._directory = home.secrets

    def path(self, name: str) -> Path:
        """The file that holds the secret."""
        return self._directory / name

    def read(self, name: str) -> str:
        """The secret; `SecretProblem` if there is none or others may read it."""
        path = self.path(name)
        try:
            with path.open(encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                value = file.read()
        except FileNotFoundError as error:
            raise SecretProblem(
                f"there is no secret {name!r}", detail=str(path), hint="bin/up makes what is missing"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise SecretProblem(
                f"cannot read the secret {name!r}",
                detail=str(error),
                hint="it is a text file of the user that the home belongs to, mode 0600",
            ) from error
        if mode & 0o077:
            raise SecretProblem(
                f"the secret {name!r} is open to other users",
                detail=f"{path} has mode {mode:04o}",
                hint=f"chmod 600 {path}, and think about replacing it",
            )
        if not value:
            raise SecretProblem(f"the secret {name!r} is empty", detail=str(path))
        return value

    def get_or_create(self, name: str, make: Callable[[], str] = random_password) -> str:
        """The secret; made and on disk before it is given out, when it is asked for the first time."""
        with suppress(FileNotFoundError):
            if self.path(name).stat().st_size:
                return self.read(name)
        write_private(self.path(name), make().encode())
        return self.read(name)


def write_private(path: Path, content: bytes, *, replace: bool = False) -> None:
    """Put `content` at `path` with mode 0600, durably; whole or not at all.

    Without `replace` a file that is already there, put by another process a moment ago, is left as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace or _is_empty(path):
            draft.replace(path)
        else:
            with suppress(FileExistsError):
                path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(path.parent)


def _is_empty(path: Path) -> bool:
    """An empty file is what a full disk or a crash left of an attempt: it holds nothing to keep."""
    try:
        return path.stat().st_size == 0
    except FileNotFoundError:
        return False


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable (fsync(2) on the directory itself)."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
