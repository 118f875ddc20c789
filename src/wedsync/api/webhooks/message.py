"""What a provider says, in the words of the database (`app.process_webhook`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import msgspec

_OF_STRIPE = {
    "payment_intent.succeeded": "payment.succeeded",
    "payment_intent.payment_failed": "payment.failed",
    "charge.refunded": "payment.refunded",
}
_NAMES = ("couple_id", "invoice_id", "payment_id", "amount_minor", "currency", "refunded_minor")
_LONGEST_NAME = 200


class MessageUnreadable(Exception):
    """A signed message that does not say what it has to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMessage:
    """One event of a provider."""

    organization_id: str
    event_id: str
    kind: str
    payload: bytes
    """JSON: what `app.process_webhook` reads, or all that came where it is about something else."""


def read_message(body: bytes, headers: Mapping[bytes, bytes]) -> ProviderMessage:
    """The message in a body; raises `MessageUnreadable`, whose words name what is missing."""
    try:
        event = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageUnreadable("the body is no JSON object") from error
    kind = _text(event, "type")
    # Of the two forms of signature only the standard one signs this header too.
    given = headers.get(b"webhook-id") if b"webhook-signature" in headers else None
    event_id = given.decode("latin-1") if given is not None else _text(event, "id")
    data = _object(event, "data")
    if "object" in data:
        data = _of_stripe(_object(data, "object"), kind)
        kind = _OF_STRIPE.get(kind, kind)
    organization = _text(data, "organization_id")
    try:
        UUID(organization)
    except ValueError as error:
        raise MessageUnreadable("organization_id is no UUID") from error
    if not 0 < len(event_id) <= _LONGEST_NAME:
        raise MessageUnreadable("the id of the event is missing or too long")
    about_payment = kind.startswith("payment.")
    payload = {name: data[name] for name in _NAMES if name in data} if about_payment else event
    return ProviderMessage(
        organization_id=organization, event_id=event_id, kind=kind, payload=msgspec.json.encode(payload)
    )


def _of_stripe(thing: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """A payment intent or a charge; whose it is stands in the metadata that our server gave it."""
    found = dict(_object(thing, "metadata"))
    found["payment_id"] = thing.get("payment_intent") or thing.get("id")
    found["amount_minor"] = thing.get("amount")
    found["currency"] = str(thing.get("currency", "")).upper()
    if kind == "charge.refunded":
        found["refunded_minor"] = thing.get("amount_refunded")
    return found


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    if not isinstance(inner, dict):
        raise MessageUnreadable(f"{name} is missing, or no object")
    return cast("Mapping[str, Any]", inner)


def _text(value: Mapping[str, Any], name: str) -> str:
    inner = value.get(name)
    if not isinstance(inner, str) or not 0 < len(inner) <= _LONGEST_NAME:
        raise MessageUnreadable(f"{name} is missing, or no text of up to {_LONGEST_NAME} characters")
    return inner
