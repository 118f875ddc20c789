"""Fit the parts of a model to what runs took: least squares that keep to the model where the runs say nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

Run = tuple[Sequence[float], float]
"""The seconds of each part by the model, and those that the run took."""

_FADES = 0.9
"""A run counts so much of the next newer one."""
_HOLDS = 0.05
"""How firmly a part keeps to the machine's ratio, beside one run that is exact to a tenth."""
_STRANGE = 2.5
"""A run that is so many times off what the middle one is, is not learnt from."""
_LEAST_FACTOR = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A factor for each part, and how far runs were off it."""

    factors: tuple[float, ...]
    low: float
    """Least actual by fitted seconds."""
    high: float

    def seconds(self, parts: Sequence[float]) -> float:
        """Seconds of a job with these parts."""
        return sum(factor * part for factor, part in zip(self.factors, parts, strict=True))


def fit(runs: Sequence[Run]) -> Fitted:
    """Factors of the parts for these runs, oldest first; at least one. A strange run widens no range.

    Minimised is the sum of squared relative errors, newer runs first, and of the parts' distances from the middle
    ratio: with runs of one size all parts get that ratio, with several sizes each part its own.
    """
    ratios = [took_s / sum(parts) for parts, took_s in runs]
    middle = median(ratios)
    kept = [
        (parts, took_s, _FADES ** (len(runs) - 1 - at))
        for at, (parts, took_s) in enumerate(runs)
        if len(runs) < 3 or middle / _STRANGE <= ratios[at] <= middle * _STRANGE
    ] or [(parts, took_s, 1.0) for parts, took_s in runs]
    size = len(kept[0][0])
    # The unknowns are distances from the middle ratio, as shares of it.
    left = [[_HOLDS if row == column else 0.0 for column in range(size)] for row in range(size)]
    right = [0.0] * size
    for parts, took_s, weight in kept:
        shares = [middle * part / took_s for part in parts]
        missing = 1.0 - sum(shares)
        for row in range(size):
            right[row] += weight * shares[row] * missing
            for column in range(size):
                left[row][column] += weight * shares[row] * shares[column]
    factors = tuple(middle * max(_LEAST_FACTOR, 1.0 + off) for off in _solve(left, right))
    fitted = Fitted(factors=factors, low=1.0, high=1.0)
    errors = [took_s / fitted.seconds(parts) for parts, took_s, _ in kept]
    return Fitted(factors=factors, low=min(errors), high=max(errors))


def _solve(left: list[list[float]], right: list[float]) -> list[float]:
    """The solution of a small system whose matrix is symmetric and positive (Gauss, no pivoting needed)."""
    rows = [[*line, value] for line, value in zip(left, right, strict=True)]
    for at, pivot in enumerate(rows):
        for other in rows[at + 1 :]:
            factor = other[at] / pivot[at]
            other[:] = [value - factor * above for value, above in zip(other, pivot, strict=True)]
    found = [0.0] * len(rows)
    for at in reversed(range(len(rows))):
        known = sum(rows[at][after] * found[after] for after in range(at + 1, len(rows)))
        found[at] = (rows[at][-1] - known) / rows[at][at]
    return found
