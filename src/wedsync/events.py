"""Facts worth counting: each is one frozen dataclass, logged once under its own snake_case name.

Log lines and counters are made from the same event, so that the two never disagree.
"""

import logging
import re
from collections import Counter
from dataclasses import asdict, dataclass
from typing import ClassVar

EVENT_VALUES = "event_values"
"""Attribute of a log record that holds the values of its event."""

counts: Counter[str] = Counter()
"""How often each event happened in this process since it started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of every event; `level` is the level of its log line."""

    level: ClassVar[str] = "info"


def observe(event: Event) -> None:
    """Log and count one event."""
    name = _snake_case(type(event).__name__)
    counts[name] += 1
    level = logging.getLevelNamesMapping()[event.level.upper()]
    logging.getLogger("wedsync").log(level, name, extra={EVENT_VALUES: asdict(event)})


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
