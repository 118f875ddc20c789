"""Which worker runs what: each test by itself, but the tests of a file that share a home together."""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[2]


class TestsAndSharedHomes(LoadScopeScheduling):
    """Hands out one test at a time, as workers get free; a file with a fixture of its own module as a whole."""

    def _split_scope(self, nodeid: str) -> str:
        """What goes to one worker, in order."""
        file = nodeid.partition("::")[0]
        return file if shares_a_fixture(file) else nodeid


@cache
def shares_a_fixture(file: str) -> bool:
    """Whether tests of a file stand on each other: they have a fixture that is made once for the file."""
    return 'scope="module"' in (ROOT / file).read_text(encoding="utf-8")
