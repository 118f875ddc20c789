"""What is written down of a call: who, from where, what. Changes each time, looking once an hour."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from wedsync.state import StateStore, record_action

_READS_EVERY = timedelta(hours=1)
_CALLERS_KEPT = 1000


class Trail:
    """Writes calls into the operators' audit trail.

    A monitor asks every few seconds: what only reads is written down when a caller first does it in an hour, with
    how often it did since the last time.
    """

    def __init__(self, state: StateStore) -> None:
        self._state = state
        self._reads: dict[tuple[str, str], tuple[datetime, int]] = {}

    def wrote(self, who: str, action: str, detail: Mapping[str, object], *, at: datetime) -> None:
        """A call that may change something, before it does."""
        record_action(self._state, at=at, operator=who, action=f"api {action}", detail=detail)

    def refused(self, who: str, action: str, *, method: str, why: str, at: datetime) -> None:
        """A call of an administrator that was turned away."""
        detail = {"method": method, "refused": why}
        record_action(self._state, at=at, operator=who, action=f"api {action} refused", detail=detail)

    def read(self, who: str, action: str, *, at: datetime) -> None:
        """A call that only looks."""
        written_at, since = self._reads.get((who, action), (None, 0))
        if written_at is not None and timedelta(0) <= at - written_at < _READS_EVERY:
            self._reads[who, action] = (written_at, since + 1)
            return
        if len(self._reads) >= _CALLERS_KEPT:
            self._reads.clear()
        self._reads[who, action] = (at, 0)
        detail = {"what": action, "calls_unwritten_since_the_last": since}
        record_action(self._state, at=at, operator=who, action="api read", detail=detail)
