"""Whether a message was signed by its provider, and lately.

Two forms: Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64> …`) and the
one that Stripe made common (`<name>-signature: t=<seconds>,v1=<hex>`). Several signatures or several secrets are
an exchange of secrets under way: one that fits is enough.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence

TOLERANCE_S = 300
"""How old a message may be, and how far the clocks may differ."""
_MOST_SIGNATURES = 10


def is_signed(headers: Mapping[bytes, bytes], body: bytes, *, secrets: Sequence[str], now: float) -> bool:
    """Whether one of the secrets made one of the signatures, within the last minutes."""
    standard = headers.get(b"webhook-signature")
    if standard is not None:
        identity, sent = headers.get(b"webhook-id", b""), headers.get(b"webhook-timestamp", b"")
        given = [part[3:] for part in standard.split() if part.startswith(b"v1,")]
        signed = identity + b"." + sent + b"." + body
        made = (b64encode(hmac.digest(_standard_key(secret), signed, "sha256")) for secret in secrets)
        return bool(identity) and _is_recent(sent, now) and _any_equal(given, made)
    timed = next((value for name, value in headers.items() if name.endswith(b"-signature")), None)
    if timed is None:
        return False
    parts = [part.strip().partition(b"=") for part in timed.split(b",")]
    sent = next((value for name, _, value in parts if name == b"t"), b"")
    given = [value for name, _, value in parts if name == b"v1"]
    signed = sent + b"." + body
    made = (hmac.digest(secret.encode(), signed, "sha256").hex().encode() for secret in secrets)
    return _is_recent(sent, now) and _any_equal(given, made)


def _is_recent(sent: bytes, now: float) -> bool:
    return sent.isdigit() and len(sent) <= 12 and abs(now - int(sent)) <= TOLERANCE_S


def _any_equal(given: Sequence[bytes], made: Iterable[bytes]) -> bool:
    """Compared in constant time, each with each."""
    right = [*made]
    return any(hmac.compare_digest(one, other) for one in given[:_MOST_SIGNATURES] for other in right)


def _standard_key(secret: str) -> bytes:
    """The key behind `whsec_`, in base64; another secret is the key itself."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    return b64decode(secret.removeprefix("whsec_"))
