"""Errors of sign-in in the protocol's own words, which the client libraries take apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

API_VERSION = "2024-01-01"
API_VERSION_HEADER = "x-supabase-api-version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What an answer with an error says."""

    status: int
    code: str
    """One of the protocol's codes, such as `invalid_credentials`."""
    message: str
    reasons: Sequence[str] = ()
    """Why a password is too weak."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class AuthError(Exception):
    """Ends a request with an error answer."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        reasons: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.refusal = Refusal(status=status, code=code, message=message, reasons=reasons, headers=headers or {})


def body_of(refusal: Refusal, asked_version: str | None) -> dict[str, object]:
    """The body of an error answer.

    A client that names version 2024-01-01 or newer gets `code` and `message`; an older one gets the status as
    `code`, the code as `error_code` and the message as `msg`.
    """
    if is_new(asked_version):
        body: dict[str, object] = {"code": refusal.code, "message": refusal.message}
    else:
        body = {"code": refusal.status, "error_code": refusal.code, "msg": refusal.message}
    if refusal.reasons:
        body["weak_password"] = {"reasons": list(refusal.reasons)}
    return body


def is_new(asked_version: str | None) -> bool:
    """Whether the client reads errors of version 2024-01-01; dates compare as text."""
    return asked_version is not None and len(asked_version) == len(API_VERSION) and asked_version >= API_VERSION


def too_many(wait_s: float, *, code: str = "over_request_rate_limit", message: str | None = None) -> AuthError:
    """429, with when to come again."""
    seconds = max(1, int(wait_s + 0.999))
    return AuthError(
        429,
        code,
        message or f"For security purposes, you can only request this after {seconds} seconds.",
        headers={"Retry-After": str(seconds)},
    )


def invalid(message: str) -> AuthError:
    """400: the request itself is wrong."""
    return AuthError(400, "validation_failed", message)


def banned() -> AuthError:
    """403: an administrator shut the account for a time."""
    return AuthError(403, "user_banned", "User is banned")


def no_phone(what: str) -> AuthError:
    """400: nothing here sends text messages."""
    return AuthError(400, "phone_provider_disabled", f"{what}: there is no text message service")
