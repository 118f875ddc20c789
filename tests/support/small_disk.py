"""A small disk of a test's own: a tmpfs in mount and user namespaces, no privileges needed.

PostgreSQL refuses root, also a namespace's: the inner user namespace maps an ordinary user again.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

_SMALL_BYTES = 1 << 30

_INSIDE = """
mount -t tmpfs -o size="$1",mode=777 tmpfs "$2" || exit
shift 2
exec unshare -U --map-user=1000 --map-group=1000 "$@"
"""


def _command(size: str, place: Path, words: list[str]) -> list[str]:
    return ["unshare", "-Urm", "--kill-child", "sh", "-c", _INSIDE, "sh", size, str(place), *words]


@cache
def is_possible() -> bool:
    """Whether this machine lets an ordinary user have namespaces (many containers do not)."""
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(_command("1m", Path("/tmp"), ["true"]), capture_output=True, check=False)  # noqa: S108
    return tried.returncode == 0


def disk_of_this_run() -> Path:
    """The small file system that bin/test mounts for tests that fill it; skips the test where there is none."""
    named = os.environ.get("WEDSYNC_TEST_SMALL_DISK")
    if not named:
        pytest.skip("bin/test gives a small disk only where it may mount one")
    total = shutil.disk_usage(named).total
    assert total < _SMALL_BYTES, f"WEDSYNC_TEST_SMALL_DISK has {total} bytes: that disk is not to be filled"
    return Path(named)


def empty(disk: Path) -> None:
    """Remove what a test left on it."""
    for entry in disk.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink()


def run_on_small_disk(script: str, *, size: str, place: Path, timeout_s: float = 240) -> list[str]:
    """Run a Python script whose `sys.argv[1]` is a directory on a disk of `size`; gives the lines it printed."""
    place.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}
    finished = subprocess.run(
        _command(size, place, [sys.executable, "-c", script, str(place)]),
        capture_output=True,
        text=True,
        env=environment,
        timeout=timeout_s,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout.splitlines()
