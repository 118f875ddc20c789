"""Which pages of other origins may call: cross-origin resource sharing."""

from collections.abc import Mapping, Sequence

Header = tuple[bytes, bytes]

_METHODS = b"GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS"
_EXPOSED = (
    b"Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Preference-Applied,"
    b" Proxy-Status, Range-Unit, RateLimit, RateLimit-Policy, Retry-After, Warning, X-Request-Id,"
    b" X-Supabase-Api-Version, X-Wedsync-As-Of"
)
_ALWAYS_ALLOWED = b"authorization, apikey, content-type, prefer, x-client-info"
_LONGEST_LIST = 2000
_PREFLIGHT_HOLDS_S = b"86400"


class CrossOrigin:
    """Answers the questions of browsers. `*` lets every page call: it needs a token that no cookie carries."""

    def __init__(self, origins: Sequence[str] = ("*",)) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)

    def allows(self, origin: bytes) -> bool:
        """Whether pages of this origin may call."""
        return self._any or origin in self._origins

    def headers(self, origin: bytes) -> list[Header]:
        """What the answer to a page of this origin carries."""
        if self._any:
            return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED)]
        if origin not in self._origins:
            return [(b"vary", b"Origin")]
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"Origin"),
        ]

    def preflight(self, origin: bytes, headers: Mapping[bytes, bytes]) -> list[Header]:
        """The whole answer to a browser that asks before it sends."""
        answer = self.headers(origin)
        if not self.allows(origin):
            return answer
        asked = headers.get(b"access-control-request-headers", b"")
        allowed = b", ".join(part for part in (_ALWAYS_ALLOWED, asked[:_LONGEST_LIST]) if part)
        answer += [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", allowed),
            (b"access-control-max-age", _PREFLIGHT_HOLDS_S),
        ]
        return answer


def is_preflight(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser asks what it may send."""
    return method == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers
