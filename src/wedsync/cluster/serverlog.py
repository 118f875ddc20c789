"""What PostgreSQL wrote into its log since a moment, and the lines of it that matter."""

import re
from collections.abc import Mapping
from pathlib import Path

_IMPORTANT = re.compile(r"\b(FATAL|PANIC|ERROR|HINT|DETAIL|WARNING):|could not|cannot|error while loading")


class LogReader:
    """What the server's log files got since this reader was made."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._start = self._sizes()
        self._read = dict(self._start)

    def _sizes(self) -> dict[Path, int]:
        return {path: path.stat().st_size for path in self._directory.glob("postgresql*.log")}

    def _since(self, sizes: Mapping[Path, int]) -> list[str]:
        lines: list[str] = []
        for path, size_bytes in sorted(self._sizes().items(), key=lambda item: "-" in item[0].name):
            with path.open("rb") as file:
                began = sizes.get(path, 0)
                file.seek(began if began <= size_bytes else 0)  # shorter than before: rotated
                lines += file.read(1 << 20).decode(errors="replace").splitlines()
        return lines

    def new_lines(self) -> list[str]:
        """Lines since the last call."""
        lines = self._since(self._read)
        self._read = self._sizes()
        return lines

    def why(self) -> str:
        """The last lines that matter, in one; empty if there are none."""
        matter = [without_prefix(line) for line in self._since(self._start) if _IMPORTANT.search(line)]
        return " / ".join(matter[-4:])


def without_prefix(line: str) -> str:
    """A log line from its severity on."""
    found = re.search(r"\b(LOG|FATAL|PANIC|ERROR|WARNING|HINT|DETAIL):\s+.*", line)
    return " ".join((found[0] if found else line).split())
