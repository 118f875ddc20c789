"""Errors of the data API: PostgREST's codes and statuses, in its own four fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What an error answer says: the body's four fields, and the status."""

    status: int
    code: str
    message: str
    details: object = None
    hint: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class RestError(Exception):
    """Ends a request of the data API with an error answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.message}")
        self.problem = problem
