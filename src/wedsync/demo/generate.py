"""Write a season's rows to standard output: a program of its own, so that making rows and loading them overlap.

Started as `python -m wedsync.demo.generate SEED SIZE TODAY`. A frame is a line of JSON (`table`, `rows`,
`size_bytes`) followed by that many bytes for COPY; the frames of a table come in an order that its foreign
keys accept, a few tables at a time, and a last frame without a table says that all are there.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from typing import BinaryIO

from wedsync.demo.season import COUPLES_PER_CIRCLE, Season
from wedsync.demo.wedding import COLUMNS, Lines, organization_lines, wedding_lines


def season_lines(season: Season) -> Iterator[Lines]:
    """The rows of a season in portions, by table."""
    for number in range(season.circles):
        yield organization_lines(season.circle(number))
    for part in season.parts:
        lines: Lines = defaultdict(list)
        circle = season.circle(part[0] // COUPLES_PER_CIRCLE)
        for number in part:
            wedding_lines(season.wedding(number), circle, season.today, lines)
        yield lines


def write_frames(season: Season, output: BinaryIO) -> None:
    """All frames of a season."""
    for lines in season_lines(season):
        for table in COLUMNS:
            if rows := lines.get(table):
                _write_frame(output, table, len(rows), "".join(rows).encode())
    _write_frame(output, None, 0, b"")
    output.flush()


def _write_frame(output: BinaryIO, table: str | None, rows: int, text: bytes) -> None:
    frame = {"table": table, "rows": rows, "size_bytes": len(text)}
    output.write(json.dumps(frame).encode() + b"\n")
    output.write(text)


if __name__ == "__main__":
    _seed, _size, _today = sys.argv[1:]
    try:
        write_frames(
            Season(seed=int(_seed), size=float(_size), today=date.fromisoformat(_today)), sys.stdout.buffer
        )
    except BrokenPipeError:
        sys.stderr.close()  # the loader went away: nothing to tell anybody
