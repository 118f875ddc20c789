"""Answers made smaller where that is worth its processor time."""

import zlib
from collections.abc import Iterable

Header = tuple[bytes, bytes]

LEAST_BYTES = 16 * 1024
"""Smaller answers go as they are (docs/explanation/gateway.md has the figures)."""
_LEVEL = 1
_TEXT = (b"application/json", b"application/vnd.pgrst", b"application/geo+json", b"application/openapi", b"text/")
_GZIP = 31  # window bits: with gzip's own header


def takes_gzip(accept_encoding: bytes) -> bool:
    """Whether the client reads gzip (RFC 9110, section 12.5.3)."""
    for part in accept_encoding.lower().split(b","):
        coding, _, weight = part.partition(b";")
        if coding.strip() in {b"gzip", b"*"}:
            return weight.replace(b" ", b"") not in {b"q=0", b"q=0.0", b"q=0.00", b"q=0.000"}
    return False


def is_text(headers: Iterable[Header]) -> bool:
    """Whether an answer of these headers is text that nobody has compressed yet."""
    kind = b""
    for name, value in headers:
        if name == b"content-encoding":
            return False
        if name == b"content-type":
            kind = value
    return kind.startswith(_TEXT)


def compressed(body: bytes) -> bytes:
    """The body in gzip."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()


def with_length(headers: Iterable[Header], size: int) -> list[Header]:
    """The headers of the compressed answer."""
    kept = [(name, value) for name, value in headers if name not in {b"content-length", b"vary"}]
    vary = [value for name, value in headers if name == b"vary"]
    return [
        *kept,
        (b"content-encoding", b"gzip"),
        (b"content-length", str(size).encode()),
        (b"vary", b", ".join([*vary, b"Accept-Encoding"])),
    ]
