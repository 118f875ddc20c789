"""What an error answer says, and the answer itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What an error answer says: the body's four fields, and the status."""

    status: int
    code: str
    message: str
    details: object = None
    hint: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def body(self) -> bytes:
        """The answer's body: always the four fields, in the order in which PostgREST writes them."""
        said = {"code": self.code, "details": self.details, "hint": self.hint, "message": self.message}
        return msgspec.json.encode(said)

    def answer_headers(self) -> list[tuple[bytes, bytes]]:
        """The answer's headers but its length: the body's type, the code for proxies, those of this problem."""
        return [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"proxy-status", b"PostgREST; error=" + _of_one_line(self.code)),
            *((name.lower().encode("latin-1"), _of_one_line(value)) for name, value in self.headers.items()),
        ]


class RestError(Exception):
    """Ends a request of the data API with an error answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.message}")
        self.problem = problem


def _of_one_line(value: str) -> bytes:
    """A header's value: what the database said cannot begin another header."""
    return " ".join(value.split()).encode("utf-8")
