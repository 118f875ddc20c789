"""Is it alive, can it serve: what a gateway answers that has no console."""

from collections.abc import Callable

from starlette.types import Receive, Scope, Send

Answer = tuple[int, bytes]


class Vitals:
    """`/healthz`: the process lives. `/readyz`: the database is served. Anything else is not there."""

    def __init__(
        self, not_ready: Callable[[], str | None], reads_only: Callable[[], str | None] = lambda: None
    ) -> None:
        """`not_ready` says why it cannot serve now, `None` if it can; `reads_only` of when, if not of now."""
        self._not_ready = not_ready
        self._reads_only = reads_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        if scope["type"] != "http":
            return
        status, text = self._answer(scope["path"])
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(text)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else text})

    def _answer(self, path: str) -> Answer:
        match path:
            case "/healthz":
                return 200, b"ok\n" + self._limits()
            case "/readyz":
                if self._not_ready() is None:
                    return 200, b"ready\n" + self._limits()
                # The reason names hosts and logins: it is in the log, and not for everybody.
                return 503, b"not ready: the database is not served now\n"
            case _:
                return 404, b"Not found. The data API is below /rest/v1/.\n"

    def _limits(self) -> bytes:
        return reads_only_words(self._reads_only()).encode()


def reads_only_words(as_of: str | None) -> str:
    """A second line for who asks whether it serves: not all of it; empty if it does."""
    return "" if as_of is None else f"reads only: the database is being taken back, its state is as of {as_of}\n"


class Closed:
    """Answers for an application whose database is not there yet."""

    def __init__(self) -> None:
        self.retry_after_s = 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say when to come again."""
        del scope, receive
        body = (
            b'{"code":"PGRST002","details":null,"hint":null,'
            b'"message":"Could not query the database for the schema cache. Retrying."}'
        )
        headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"retry-after", str(self.retry_after_s).encode()),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})
