"""The pushes of WAL that are under way, which wait for a region that does not answer."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def end_pushes(config: Path) -> int:
    """End the pushes that were begun with this configuration file; gives how many processes those were.

    The server asks again at once. Half a segment is no segment: pgBackRest gives it its name when it is whole.
    """
    ended = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):  # gone meanwhile, or somebody else's
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            is_push = any(word.partition(":")[0] == "archive-push" for word in words)
            if is_push and f"--config={config}" in words:
                os.kill(int(entry.name), signal.SIGTERM)
                ended += 1
    return ended
