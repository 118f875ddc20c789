"""From which address a request comes."""

from collections.abc import Mapping
from typing import Any


def address_of(scope: Mapping[str, Any]) -> str:
    """The client's address, behind a proxy that is trusted too; empty if it is not known.

    `scope` is an ASGI scope. The way in has put who is behind a proxy into its `forwarded_for`.
    """
    forwarded: bytes | None = scope.get("forwarded_for")
    if forwarded:
        return forwarded.decode()
    peer = scope.get("client")
    return peer[0] if peer else ""
