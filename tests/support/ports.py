"""Free ports for tests; no two workers of a run are given the same one."""

import itertools
import os
import random

from support.workers import this_worker
from wedsync.cluster import is_free

_worker = this_worker()
_first, _, _last = os.environ.get("WEDSYNC_TEST_PORTS", "24000-29999").partition("-")
_candidates = list(range(int(_first) + _worker.index, int(_last) + 1, _worker.count))
random.shuffle(_candidates)
_next = itertools.cycle(_candidates)


def free_port() -> int:
    """A port that nothing listens on, not given out before in this run (as long as there are any)."""
    for _ in _candidates:
        port = next(_next)
        if is_free(port, "127.0.0.1") and is_free(port, "::1"):
            return port
    raise RuntimeError(f"no free port in {_first}-{_last}")
