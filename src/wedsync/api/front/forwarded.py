"""Where a request comes from, through proxies that are trusted to say so; and what it is called."""

import os
from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from itertools import count

from wedsync.errors import ConfigProblem

_LONGEST_ID = 64
_MOST_ADDRESSES = 10_000
_ID_LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


class Forwarded:
    """Reads the client's address: the last one in `X-Forwarded-For` that is no proxy of ours."""

    def __init__(self, trusted_proxies: Sequence[str] = ()) -> None:
        """`trusted_proxies` are addresses or networks. Raises `ConfigProblem`."""
        try:
            self._networks = [ip_network(text, strict=False) for text in trusted_proxies]
        except ValueError as error:
            raise ConfigProblem(
                "gateway.trusted_proxies holds what is no address", detail=str(error), hint="such as 10.0.0.0/8"
            ) from error
        self._trusted: dict[str, bool] = {}

    def client(self, peer: str, headers: Mapping[bytes, bytes]) -> str:
        """The address of the client; `peer` is who holds the other end of the connection."""
        if not self._networks or not self._is_trusted(peer):
            return peer
        named = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        for text in reversed(named):
            address = text.strip()
            if not self._is_address(address):
                break
            peer = address
            if not self._is_trusted(address):
                break
        return peer

    def _is_trusted(self, address: str) -> bool:
        known = self._trusted.get(address)
        if known is None:
            if len(self._trusted) >= _MOST_ADDRESSES:
                self._trusted.clear()
            try:
                parsed = ip_address(address)
            except ValueError:  # the other end of a unix socket
                known = False
            else:
                known = any(parsed in network for network in self._networks)
            self._trusted[address] = known
        return known

    @staticmethod
    def _is_address(text: str) -> bool:
        try:
            ip_address(text)
        except ValueError:
            return False
        return True


class RequestIds:
    """Names for requests: the caller's own where it is one, else a new one."""

    def __init__(self) -> None:
        self._prefix = os.urandom(6).hex().encode()
        self._numbers = count(1)

    def of(self, headers: Mapping[bytes, bytes]) -> bytes:
        """What this request is called in logs, in the history, and in the answer."""
        given = headers.get(b"x-request-id")
        if given is not None and 0 < len(given) <= _LONGEST_ID and _ID_LETTERS.issuperset(given):
            return given
        return b"%s-%x" % (self._prefix, next(self._numbers))
