"""Codes of an authenticator app: RFC 6238 with SHA-1, six digits, half a minute, as all apps have them."""

import base64
import hmac
import io
import secrets
from urllib.parse import quote, urlencode

import segno

PERIOD_S = 30
_DIGITS = 6
_SECRET_BYTES = 20  # RFC 4226, section 4, R6: 160 bits
_AROUND = (0, -1, 1)


def new_secret() -> bytes:
    """A secret to share with the app."""
    return secrets.token_bytes(_SECRET_BYTES)


def as_text(secret: bytes) -> str:
    """A secret as people type it: base 32 without padding."""
    return base64.b32encode(secret).rstrip(b"=").decode()


def code_at(secret: bytes, step: int) -> str:
    """The code of one half minute since 1970 (RFC 4226, section 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}d}"


def matching_step(secret: bytes, code: str, *, at_s: float, after: int | None = None) -> int | None:
    """The half minute that a code belongs to: the present one or a neighbour, later than `after`; else `None`.

    Every candidate is compared, so that the time taken tells nothing.
    """
    now = int(at_s // PERIOD_S)
    found: int | None = None
    for step in (now + distance for distance in _AROUND):
        is_right = hmac.compare_digest(code_at(secret, max(0, step)).encode(), code.encode())
        if is_right and found is None and (after is None or step > after):
            found = step
    return found


def uri_of(secret: bytes, *, issuer: str, account: str) -> str:
    """The address that an app reads from the picture."""
    label = f"{quote(issuer, safe='')}:{quote(account, safe='@')}"
    values = {
        "algorithm": "SHA1",
        "digits": _DIGITS,
        "issuer": issuer,
        "period": PERIOD_S,
        "secret": as_text(secret),
    }
    return f"otpauth://totp/{label}?{urlencode(values, quote_via=quote)}"


def picture_of(uri: str) -> str:
    """The address as a QR code in SVG."""
    out = io.BytesIO()
    segno.make(uri, error="m", micro=False).save(out, kind="svg", scale=4, xmldecl=False)
    return out.getvalue().decode()
