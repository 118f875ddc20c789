"""What earlier runs of a statement tell of the next one."""

from collections import OrderedDict

_UNKNOWN_S = 0.005
"""Taken for a statement that nobody has run yet: it gets a connection without others, if one is there."""
_WEIGHT = 0.1
"""Part of the newest run in what is usual."""
_QUICK_S = 0.02
_SAMPLE = 32
"""Runs that make one mean for the quiet time."""
_FORGET = 1.05
"""The quiet time follows a statement that has become slower by this much with each mean."""


class History:
    """How often a statement ran and how long it takes. Mutable; only the pool writes it."""

    __slots__ = ("_mean_count", "_mean_sum_s", "quiet_s", "runs", "usual_s")

    def __init__(self) -> None:
        self.runs = 0
        self.usual_s = _UNKNOWN_S
        """A moving mean of how long it keeps a connection."""
        self.quiet_s = 0.0
        """The least mean of late: about how long it takes when the server has nothing else to do; 0 unknown."""
        self._mean_count = 0
        self._mean_sum_s = 0.0

    @property
    def is_repeated(self) -> bool:
        """Whether it is worth a name and a plan in the server's memory."""
        return self.runs > 0

    @property
    def is_quick(self) -> bool:
        """Whether it is known to take little time."""
        return self.runs > 0 and self.usual_s < _QUICK_S

    def ran(self, took_s: float) -> None:
        """It ran and kept its connection for `took_s`.

        One run says little: answers that arrive together share one moment, and all but the first seem to
        have taken no time. Their mean is right.
        """
        self.runs += 1
        self.usual_s += (took_s - self.usual_s) * (_WEIGHT if self.runs > 1 else 1.0)
        self._mean_count += 1
        self._mean_sum_s += took_s
        if self._mean_count == _SAMPLE:
            mean = self._mean_sum_s / _SAMPLE
            self.quiet_s = min(mean, self.quiet_s * _FORGET) if self.quiet_s else mean
            self._mean_count = 0
            self._mean_sum_s = 0.0


class Histories:
    """The histories of the statements that ran last, `limit` of them."""

    def __init__(self, limit: int = 2000) -> None:
        self._limit = limit
        self._by_text: OrderedDict[bytes, History] = OrderedDict()

    def of(self, text: bytes) -> History:
        """The history of one statement, empty at first."""
        found = self._by_text.get(text)
        if found is None:
            if len(self._by_text) >= self._limit:
                self._by_text.popitem(last=False)
            self._by_text[text] = found = History()
        elif found.runs & 63 == 0:  # recently enough; each time would cost more than it tells
            self._by_text.move_to_end(text)
        return found
