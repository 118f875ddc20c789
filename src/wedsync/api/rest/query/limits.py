"""How large a query may be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLimits:
    """Bounds of what is parsed and planned; beyond them a request is refused (PGRST100)."""

    length: int = 65_536
    """Bytes of the query string."""
    depth: int = 12
    """Relations inside relations, and `and`/`or` inside each other."""
    relations: int = 60
    """Embedded relations altogether."""
    conditions: int = 1_000
    """Filters altogether."""
