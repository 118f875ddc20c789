"""The ledger's rows as a chain: each row's code covers the row before it, so that no hand can change one unseen.

HMAC-SHA256 (RFC 2104) with a key that the database does not have. The head, a row of its own with a code of its
own, says how long the chain is: otherwise rows cut off at its end would not be missed.
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from wedsync.migrations.files.problems import Problem, ProblemKind
from wedsync.migrations.ledger.history import LedgerRow

_BEFORE_THE_FIRST = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where the chain ends."""

    seq: int = 0
    """Of the newest row; 0: there is none."""
    last_mac: str = _BEFORE_THE_FIRST
    """Of the newest row."""
    key_id: str | None = None
    """Which key made the chain; `None`: nothing is chained."""
    mac: str | None = None
    """Of the head itself."""


@cache
def key_id(key: bytes) -> str:
    """A name for a key that tells nothing about it."""
    return hmac.digest(key, b"which key", "sha256").hex()[:12]


def chained(row: LedgerRow, *, after: str, key: bytes) -> LedgerRow:
    """The row with its code; `after` is the code of the row before it."""
    return replace(row, mac=_mac(key, b"row", after.encode(), row.canonical()))


def head_after(row: LedgerRow, key: bytes | None) -> Head:
    """The head once `row` is the newest."""
    if key is None or row.mac is None:
        return Head(seq=row.seq)
    which = key_id(key)
    return Head(seq=row.seq, last_mac=row.mac, key_id=which, mac=_head_mac(key, row.seq, row.mac))


def broken_links(rows: Sequence[LedgerRow], head: Head, key: bytes) -> tuple[Problem, ...]:
    """What was changed by hand since it was written; `rows` by `seq`, of a ledger that is chained.

    Each change is named once; what follows it is not listed, but for the row after one whose own code was
    changed, which cannot be judged without it.
    """
    if head.key_id not in {None, key_id(key)}:
        return (_other_key(head, key),)
    return tuple(_breaks(rows, head, key))


def without_codes(rows: int) -> Problem:
    """No row has a code, and there is no head: nothing says that the rows are as they were written."""
    which = "the row" if rows == 1 else f"all {rows} rows"
    return _tampered(
        "ops.migrations",
        f"{which} of ops.migrations: the codes were removed by hand, or never made for want of a key",
    )


def _breaks(rows: Sequence[LedgerRow], head: Head, key: bytes) -> Iterator[Problem]:
    before, expected = _BEFORE_THE_FIRST, 1
    for row in rows:
        if row.mac is None:
            yield _tampered(row.id, f"{_named(row)} was put into ops.migrations by hand")
        elif hmac.compare_digest(row.mac, chained(row, after=before, key=key).mac or ""):
            pass
        elif row.seq > expected:
            which = f"row {expected}" if row.seq == expected + 1 else f"rows {expected} to {row.seq - 1}"
            yield _tampered(row.id, f"{which} of ops.migrations was removed by hand, before {_named(row)}")
        else:
            yield _tampered(row.id, f"{_named(row)} was changed by hand, or put there by hand")
        before, expected = row.mac or before, row.seq + 1
    newest = rows[-1].seq if rows else 0
    if head.key_id is None or head.mac is None:
        yield _tampered("ops.migration_head", "the end of the ledger was removed by hand (ops.migration_head)")
    elif not hmac.compare_digest(head.mac, _head_mac(key, head.seq, head.last_mac)):
        yield _tampered("ops.migration_head", "the end of the ledger was changed by hand (ops.migration_head)")
    elif head.seq > newest:
        which = f"row {head.seq}" if head.seq == newest + 1 else f"rows {newest + 1} to {head.seq}"
        yield _tampered("ops.migrations", f"{which} of ops.migrations, the newest, was removed by hand")


def _head_mac(key: bytes, seq: int, last_mac: str) -> str:
    return _mac(key, b"head", str(seq).encode(), last_mac.encode())


def _mac(key: bytes, *parts: bytes) -> str:
    return hmac.digest(key, b"\n".join(parts), hashlib.sha256).hex()


def _named(row: LedgerRow) -> str:
    return f"row {row.seq} ({row.kind} {row.id}, {row.applied_at.isoformat()}, {row.by})"


def _tampered(identity: str, message: str) -> Problem:
    return Problem(
        kind=ProblemKind.TAMPERED,
        id=identity,
        message=message,
        hint="find out who did it and what is true; then accept what is there: wedsync migrate repair --chain",
    )


def _other_key(head: Head, key: bytes) -> Problem:
    return Problem(
        kind=ProblemKind.TAMPERED,
        id="ops.migration_head",
        message=f"the ledger was chained with key {head.key_id}, not with this home's ({key_id(key)})",
        hint="bring secrets/migration_chain_key from the home that migrated this database before; "
        "if it is lost: wedsync migrate repair --chain",
    )
