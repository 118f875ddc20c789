"""What the headers of a request say to the data API."""

from dataclasses import dataclass

import msgspec

Header = tuple[bytes, bytes]
_LISTS = {b"prefer", b"accept"}


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers that matter, as they were sent; empty where there was none."""

    accept: bytes
    prefer: bytes
    content_type: bytes
    accept_profile: str | None
    content_profile: str | None
    range: str | None
    key: bytes | None
    """The name of a write that is to be done once: `Idempotency-Key`."""
    request: bytes
    """All but cookies, as JSON: setting `request.headers`."""
    cookies: bytes
    """As JSON: setting `request.cookies`."""


def read_headers(given: tuple[Header, ...]) -> Headers:
    """Read the headers of a request; names are in lower case, as ASGI has them."""
    found: dict[bytes, bytes] = {}
    for name, value in given:
        found[name] = found[name] + b"," + value if name in _LISTS and name in found else value
    pairs = (part.partition("=") for part in found.pop(b"cookie", b"").decode("latin-1").split(";"))
    cookies = {name.strip(): value.strip() for name, _, value in pairs if name.strip()}
    told = {name.decode("latin-1"): value.decode("latin-1") for name, value in found.items()}
    return Headers(
        accept=found.get(b"accept", b""),
        prefer=found.get(b"prefer", b""),
        content_type=found.get(b"content-type", b"application/json"),
        accept_profile=_text(found.get(b"accept-profile")),
        content_profile=_text(found.get(b"content-profile")),
        range=_text(found.get(b"range")),
        key=found.get(b"idempotency-key"),
        request=msgspec.json.encode(told),
        cookies=msgspec.json.encode(cookies),
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
