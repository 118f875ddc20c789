"""The name that was probably meant."""

from collections.abc import Iterable

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

LIKELY = 0.75
"""For names of tables and functions: a guess must not show names that were hardly asked for."""
POSSIBLE = 0.33
"""Where all names may be known: arguments of a function, relations of a table."""


def nearest(name: str, names: Iterable[str], *, at_least: float) -> str | None:
    """The most similar of `names`, upper and lower case alike; 1 is the same, 0 has no letter in common."""
    best = process.extractOne(
        name, list(names), scorer=Levenshtein.normalized_similarity, processor=str.lower, score_cutoff=at_least
    )
    return None if best is None else best[0]
