"""`Idempotency-Key`: the same key gets the same answer, and what was asked for is done once.

(IETF draft-ietf-httpapi-idempotency-key-header: a key that comes with another request is 422, one whose request is
still under way 409.)
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from wedsync.errors import Busy, KeyReused, OutcomeUnknown, UsageProblem
from wedsync.state import StateStore, as_text

_KEPT = timedelta(hours=24)
_LONGEST_KEY = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """The answer that a call with this key got."""

    status: int
    content: bytes
    headers: dict[str, str]


class RepeatedCalls:
    """The calls of the last day that had a key, in the state file."""

    def __init__(self, state: StateStore, *, now: datetime) -> None:
        """Calls that an earlier process was busy with were broken off: how they ended is not known."""
        self._state = state
        self._since = as_text(now)

    def begin(self, caller: str, key: str, *, request: bytes, at: datetime) -> Remembered | None:
        """Note that a call begins; gives the answer of the same call where it was made before.

        Raises `KeyReused`, `Busy` while the first one is under way, and `OutcomeUnknown` after one that was broken
        off.
        """
        if not key.strip() or len(key) > _LONGEST_KEY or not key.isascii() or not key.isprintable():
            raise UsageProblem(
                f"Idempotency-Key has 1 to {_LONGEST_KEY} printable ASCII characters", hint="send a UUID"
            )
        wanted = hashlib.sha256(request).hexdigest()
        with self._state.transaction():
            self._state.write("delete from api_requests where begun_at < ?", (as_text(at - _KEPT),))
            row = self._state.row("select * from api_requests where caller = ? and key = ?", (caller, key))
            if row is None:
                self._state.write(
                    "insert into api_requests (caller, key, request_hash, begun_at) values (?, ?, ?, ?)",
                    (caller, key, wanted, as_text(at)),
                )
                return None
        if row["request_hash"] != wanted:
            raise KeyReused(
                "this Idempotency-Key came before, with another request",
                hint="a key stands for one request: send another key with this one",
            )
        if row["status"] is not None:
            return Remembered(status=row["status"], content=row["answer"], headers=json.loads(row["headers"]))
        if row["begun_at"] < self._since:
            raise OutcomeUnknown(
                "a call with this Idempotency-Key was broken off: how it ended is not known",
                detail=f"begun at {row['begun_at']}",
                hint="look at what it was to change, then send another key",
            )
        raise Busy("a call with this Idempotency-Key is under way", hint="come again for its answer")

    def end(self, caller: str, key: str, answer: Remembered) -> None:
        """Keep the answer for whoever asks again."""
        self._state.write(
            "update api_requests set status = ?, answer = ?, headers = ? where caller = ? and key = ?",
            (answer.status, answer.content, json.dumps(answer.headers), caller, key),
        )

    def forget(self, caller: str, key: str) -> None:
        """The call did nothing: the same key may try it again."""
        self._state.write("delete from api_requests where caller = ? and key = ?", (caller, key))
