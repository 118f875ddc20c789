"""How often: failures by account and address (kept in the database), calls by address (in this process)."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from wedsync.api.auth.errors import too_many
from wedsync.api.auth.secret_values import AuthSecret
from wedsync.api.auth.store import Store, scalar_in
from wedsync.database.pipeline import Result, Statement

_MOST_ADDRESSES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """From which failure on one waits, how long at first, and how long at the most."""

    free: int
    first: timedelta
    longest: timedelta


OF_ACCOUNT = Pause(free=5, first=timedelta(seconds=5), longest=timedelta(minutes=15))
OF_CODES = Pause(free=10, first=timedelta(seconds=5), longest=timedelta(minutes=15))
OF_ADDRESS = Pause(free=30, first=timedelta(seconds=5), longest=timedelta(hours=1))


class Throttle:
    """Counts in the database under keyed hashes, the same for accounts that are and that are not."""

    def __init__(self, store: Store, secret: AuthSecret) -> None:
        self._store = store
        self._secret = secret

    def question(self, *subjects: tuple[str, str]) -> Statement:
        """Whether any of these (kind, value) must wait; its answer goes to `require_free`."""
        hashes = [self._secret.subject(kind, value) for kind, value in subjects]
        return self._store.statement("blocked_for", ["\\x" + item.hex() for item in hashes])

    def require_free(self, answer: Result, *, code: str = "over_request_rate_limit") -> None:
        """Raise 429 where one must wait."""
        wait = scalar_in(answer)
        if wait is not None:
            raise too_many(float(wait), code=code)

    def hit(self, kind: str, value: str, pause: Pause) -> Statement:
        """Count one more."""
        subject = self._secret.subject(kind, value)
        return self._store.statement(
            "hit", subject, pause.free, pause.first.total_seconds(), pause.longest.total_seconds()
        )

    def forget(self, kind: str, value: str) -> Statement:
        """Begin to count anew: it went well."""
        return self._store.statement("clear_hits", self._secret.subject(kind, value))


class CallsByAddress:
    """So many calls a minute of one kind from one network address: a bucket that fills again by and by."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, kind: str, address: str) -> None:
        """Count a call; raises 429 where the bucket is empty."""
        now = monotonic()
        left, at = self._buckets.pop((kind, address), (float(self._per_minute), now))
        left = min(float(self._per_minute), left + (now - at) * self._per_minute / 60)
        if left < 1:
            self._buckets[(kind, address)] = (left, now)
            raise too_many((1 - left) * 60 / self._per_minute, message="Request rate limit reached")
        self._buckets[(kind, address)] = (left - 1, now)
        if len(self._buckets) > _MOST_ADDRESSES:
            self._buckets.popitem(last=False)
