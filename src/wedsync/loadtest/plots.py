"""Plots as SVG, drawn here: colours come from the page's style sheet, so that they follow light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH, _HEIGHT = 720, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 28
_STEPS: Final = (1, 2, 2.5, 5, 10)
_SMALLEST: Final = 1e-12
"""What is less is drawn as nothing: steps of the smallest numbers there are would be 0."""

Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a plot; where a value is missing it has a gap."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot over time, or over whatever the points' first numbers are."""

    title: str
    unit: str
    across: str
    """What the points' first numbers are."""
    lines: Sequence[Line]
    limit: float | None = None
    """Drawn as a dashed line: what was promised."""


def ticks(highest: float, *, wanted: int = 5) -> list[float]:
    """Round numbers from 0 to at least `highest`, about as many as wanted."""
    if highest < _SMALLEST or not math.isfinite(highest):
        return [0.0, 1.0]
    rough = highest / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * part for part in _STEPS if power * part >= rough * (1 - 1e-9))
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]


def draw(plot: Plot) -> str:
    """The plot as an SVG element, with a text that says what a reader of the page does not see."""
    values = [value for line in plot.lines for _, value in line.points if value is not None]
    highest = max([*values, plot.limit or 0.0], default=0.0)
    furthest = max((at for line in plot.lines for at, _ in line.points), default=0.0)
    up, across = ticks(highest), ticks(furthest, wanted=8)
    right = max(furthest, across[1] / 1000)

    def x(at: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * at / right

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / up[-1]

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"',
        f' aria-label="{escape(_words(plot, highest), quote=True)}">',
    ]
    for value in up:
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        parts.append(f'<text class="up" x="{_LEFT - 6}" y="{y(value) + 4:.1f}">{value:,g}</text>')
    parts += [
        f'<text class="across" x="{x(at):.1f}" y="{_HEIGHT - 8}">{at:g}</text>' for at in across if at <= furthest
    ]
    if plot.limit is not None:
        level = y(plot.limit)
        parts.append(
            f'<line class="limit" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>'
        )
    for number, line in enumerate(plot.lines):
        for piece in _pieces(line.points):
            path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in piece)
            if len(piece) == 1:
                at, value = piece[0]
                parts.append(f'<circle class="dot line{number}" cx="{x(at):.1f}" cy="{y(value):.1f}" r="2"/>')
            else:
                parts.append(f'<polyline class="line{number}" points="{path}"/>')
    return "".join([*parts, "</svg>"])


def _pieces(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    """The points without those that have no value, cut where one is missing."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for at, value in points:
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((at, value))
    return [piece for piece in pieces if piece]


def _words(plot: Plot, highest: float) -> str:
    names = ", ".join(line.name for line in plot.lines)
    return f"{plot.title}: {names}, over {plot.across}; highest {highest:,.4g} {plot.unit}"
