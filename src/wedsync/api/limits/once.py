"""A write that names itself is done once, and gives its first answer to whoever asks again."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

import msgspec

from wedsync.database.pipeline import Result, Statement, Work

LONGEST_KEY_BYTES = 255
_BEGIN = b"select encode(app.begin_request($1, $2), 'hex')"
_END = b"select app.end_request($1, decode($2, 'hex'))"


class Transaction(Protocol):
    """A transaction that is open on a connection of its own."""

    async def run(self, work: Work) -> list[Result]: ...


class Lender(Protocol):
    """The pool, as far as it is needed here."""

    def lend(self, purpose: str) -> AbstractAsyncContextManager[Transaction]: ...


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """A result, as it is kept."""

    columns: tuple[str, ...]
    rows: list[tuple[bytes | None, ...]]
    affected: int | None


_DECODER = msgspec.msgpack.Decoder(list[_Kept])


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a write."""

    results: list[Result]
    is_repeat: bool
    """Whether it was done before: these are the results of then."""


class OnceOnly:
    """Keeps the results of writes in the transaction that does them (migration 0019)."""

    def __init__(self, pool: Lender) -> None:
        self._pool = pool

    async def run(self, work: Work, *, key: bytes, digest: bytes) -> Done:
        """Do the work of the request with this key, or give what it gave before.

        Raises `StatementFailed` with PT422 if the key was used for another request, with PT409 if the same one is
        under way for long, with 42883 if the database keeps no requests; `CommitUnknown` as the pool does: then
        asking again with the same key is safe.
        """
        name = b"\\x" + digest.hex().encode()
        async with self._pool.lend("Idempotency-Key") as transaction:
            begin = replace(work, statements=(Statement(_BEGIN, (key, name)),), read_only=False)
            (begun,) = await transaction.run(begin)
            kept = begun.rows[0][0]
            if kept is not None:
                return Done(_read(bytes.fromhex(kept.decode())), is_repeat=True)
            results = await transaction.run(work)
            end = Statement(_END, (key, _written(results).hex().encode()))
            await transaction.run(replace(work, statements=(end,)))
        return Done(results, is_repeat=False)


def digest_of(method: str, path: str, query: bytes, body: bytes, headers: Sequence[bytes]) -> bytes:
    """What tells one request from another; `headers` are those that change what it does."""
    whole = sha256()
    for part in (method.encode(), path.encode(), query, body, *headers):
        whole.update(len(part).to_bytes(8))
        whole.update(part)
    return whole.digest()


def _written(results: Sequence[Result]) -> bytes:
    return msgspec.msgpack.encode([_Kept(each.columns, each.rows, each.affected) for each in results])


def _read(kept: bytes) -> list[Result]:
    return [Result(each.columns, each.rows, each.affected) for each in _DECODER.decode(kept)]
