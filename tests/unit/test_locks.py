"""Locks between processes: who holds one, and that asking disturbs nobody."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wedsync.errors import Busy
from wedsync.process import FileLock

_HOLD = """
import sys, time
from pathlib import Path
from wedsync.process import FileLock
with FileLock(Path(sys.argv[1]), purpose="a recovery"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_who_holds_a_lock_is_named_and_a_killed_holder_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    environment = {**os.environ, "PYTHONPATH": ":".join(entry for entry in sys.path if entry)}
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdout=subprocess.PIPE, env=environment, text=True
    )
    assert holder.stdout is not None
    with holder, holder.stdout:
        assert holder.stdout.readline() == "held\n"
        mine = FileLock(path, purpose="a backup")
        found = mine.holder()
        assert found is not None
        assert (found.pid, found.purpose) == (holder.pid, "a recovery")
        with pytest.raises(Busy, match="cannot start: a backup") as caught, mine:
            pass
        assert f"process {holder.pid}" in (caught.value.detail or "")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert mine.holder() is None
    with mine:
        assert mine.holder() is not None


def test_asking_who_holds_a_lock_never_keeps_another_from_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            FileLock(path, purpose="ask").holder()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(300):
            with FileLock(path, purpose="work"):
                pass
    finally:
        enough.set()
        asking.join()
    assert FileLock(path, purpose="ask").holder() is None
