"""Passwords by Argon2id, off the event loop, a few at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from wedsync.api.auth.errors import AuthError

T = TypeVar("T")

_AT_ONCE = 2
"""Each holds 19 MB and a processor for 20 ms; argon2 gives up the interpreter's lock meanwhile."""
_WAITING = 64


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a password."""

    is_right: bool
    new_hash: str | None = None
    """To be stored in place of the old one, whose parameters are not today's."""


class Passwords:
    """Makes and checks hashes."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """`hasher` by default has OWASP's parameters of 2024: 19 MiB, 2 passes, one lane."""
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._executor = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="argon2")
        self._under_way = 0
        self._nobodys = self._hasher.hash("a password that nobody has")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The hash of a password, with its salt and parameters."""
        return await self._off_the_loop(lambda: self._hasher.hash(password))

    async def check(self, password: str, stored: str | None) -> Checked:
        """Whether it is the password; without a stored hash the same work is done, and it is not."""
        checked = await self._off_the_loop(lambda: self._check(password, stored or self._nobodys))
        return checked if stored else Checked(is_right=False)

    def is_hash(self, text: str) -> bool:
        """Whether it is an Argon2 hash, as an administrator may bring along."""
        try:
            self._hasher.check_needs_rehash(text)
        except InvalidHashError:
            return False
        return text.startswith("$argon2")

    def _check(self, password: str, stored: str) -> Checked:
        try:
            self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return Checked(is_right=False)
        needs = self._hasher.check_needs_rehash(stored)
        return Checked(is_right=True, new_hash=self._hasher.hash(password) if needs else None)

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        if self._under_way >= _WAITING:
            raise AuthError(
                503, "over_request_rate_limit", "Too many sign-ins at once", headers={"Retry-After": "1"}
            )
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._under_way -= 1
