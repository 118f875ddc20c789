"""How large a query may be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QueryLimits:
    """Bounds of what is parsed and planned; beyond them a request is refused (PGRST100).

    Compared by identity: it is part of what shapes are looked up by, with each request.
    """

    length: int = 65_536
    """Bytes of the query string."""
    depth: int = 12
    """Relations inside relations, and `and`/`or` inside each other."""
    relations: int = 60
    """Embedded relations altogether."""
    conditions: int = 1_000
    """Filters altogether."""
