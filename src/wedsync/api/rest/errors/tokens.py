"""Tokens that do not hold: PGRST300 to PGRST303."""

from typing import assert_never

import msgspec

from wedsync.api.callers import TokenProblem, TokenProblemKind
from wedsync.api.rest.errors.problem import Problem


def token_refused(problem: TokenProblem) -> Problem:
    """The answer to a request whose token does not hold."""
    match problem.kind:
        case TokenProblemKind.NO_KEYS:
            return Problem(status=500, code="PGRST300", message=problem.message, details=problem.detail)
        case TokenProblemKind.UNREADABLE:
            return _unauthorized("PGRST301", problem)
        case TokenProblemKind.MISSING:
            return Problem(
                status=401,
                code="PGRST302",
                message=problem.message,
                details=problem.detail,
                headers={"WWW-Authenticate": "Bearer"},
            )
        case TokenProblemKind.CLAIMS | TokenProblemKind.ROLE:
            return _unauthorized("PGRST303", problem)
        case _:
            assert_never(problem.kind)


def _unauthorized(code: str, problem: TokenProblem) -> Problem:
    described = msgspec.json.encode(problem.message).decode()
    return Problem(
        status=401,
        code=code,
        message=problem.message,
        details=problem.detail,
        headers={"WWW-Authenticate": f'Bearer error="invalid_token", error_description={described}'},
    )
