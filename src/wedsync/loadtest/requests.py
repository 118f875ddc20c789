"""The requests of each kind, whole, for many people: made before the run, so that nothing is made during it."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import jwt

from wedsync.loadtest.flight import Call
from wedsync.loadtest.ground import Ground
from wedsync.loadtest.profiles import Kind

_EACH: Final = 100
"""How many different requests of each kind there are, as far as there are people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What a home signs with."""

    signing_key: str
    anon: str
    """The key that every client of the data API sends along."""
    service_role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    user_id: str
    method: str
    path: str
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def calls(ground: Ground, kind: Kind, *, host: str, keys: Keys) -> list[Call]:
    """Requests of one kind, each of another person where there are enough."""
    return [
        Call(
            kind=str(kind),
            request=_bytes(_MAKERS[kind](ground, number), host=host, keys=keys),
            is_safe=kind not in {Kind.CORE_FIELD, Kind.INSERT},
        )
        for number in range(_EACH)
    ]


def health_request(*, host: str, keys: Keys) -> bytes:
    """Asks for the pool's use, as an administrator."""
    lines = (
        "GET /api/database/health HTTP/1.1",
        f"Host: {host}",
        f"apikey: {keys.service_role}",
        f"Authorization: Bearer {keys.service_role}",
        "Accept: application/json",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _dashboard(ground: Ground, number: int) -> _Request:
    supplier = ground.suppliers[number % len(ground.suppliers)]
    return _Request(
        user_id=supplier.user_id,
        method="GET",
        path=(
            "/rest/v1/couples?select=id,partner_one_name,partner_two_name,wedding_date,venue_name,status,"
            f"connections!inner(status)&connections.organization_id=eq.{supplier.organization_id}"
            f"&connections.status=eq.active&wedding_date=gte.{ground.today}&order=wedding_date,id&limit=20"
        ),
    )


def _couple_forms(ground: Ground, number: int) -> _Request:
    writer = ground.writers[number % len(ground.writers)]
    return _Request(
        user_id=writer.user_id,
        method="GET",
        path="/rest/v1/forms?select=id,title,form_fields(position,label,kind,is_required)&status=eq.published&order=title",
    )


def _core_field(ground: Ground, number: int) -> _Request:
    writer = ground.writers[number % len(ground.writers)]
    return _Request(
        user_id=writer.user_id,
        method="PATCH",
        path=f"/rest/v1/core_field_values?couple_id=eq.{writer.couple_id}&field_key=eq.guest_count&select=value,version",
        body={"value": 80 + number},
        headers={"Prefer": "return=representation"},
    )


def _guests(ground: Ground, number: int) -> _Request:
    partner = ground.partners[number % len(ground.partners)]
    return _Request(
        user_id=partner.user_id,
        method="GET",
        path=(
            "/rest/v1/guests?select=id,first_name,last_name,rsvp_status,dietary_notes,households(name)"
            f"&couple_id=eq.{partner.couple_id}&order=last_name,first_name,id&limit=50"
        ),
    )


def _timeline(ground: Ground, number: int) -> _Request:
    partner = ground.partners[number % len(ground.partners)]
    return _Request(
        user_id=partner.user_id,
        method="GET",
        path=(
            "/rest/v1/timeline_events?select=id,title,kind,starts_at,ends_at,location"
            f"&couple_id=eq.{partner.couple_id}&order=starts_at,id"
        ),
    )


def _insert(ground: Ground, number: int) -> _Request:
    writer = ground.writers[number % len(ground.writers)]
    return _Request(
        user_id=writer.user_id,
        method="POST",
        path="/rest/v1/photo_groups?select=id,name",
        body={"couple_id": writer.couple_id, "name": f"Load test {number}"},
        headers={"Prefer": "return=representation"},
    )


def _conflicts(ground: Ground, number: int) -> _Request:  # noqa: ARG001 - there is one wedding with groups enough
    writer = ground.writers[0]
    return _Request(
        user_id=writer.user_id,
        method="POST",
        path="/rest/v1/rpc/detect_advanced_conflicts",
        body={"p_couple_id": writer.couple_id},
    )


_MAKERS: Mapping[Kind, Callable[[Ground, int], _Request]] = {
    Kind.DASHBOARD: _dashboard,
    Kind.COUPLE_FORMS: _couple_forms,
    Kind.CORE_FIELD: _core_field,
    Kind.GUESTS: _guests,
    Kind.TIMELINE: _timeline,
    Kind.INSERT: _insert,
    Kind.CONFLICTS: _conflicts,
}


def _bytes(request: _Request, *, host: str, keys: Keys) -> bytes:
    now = int(time.time())
    claims = {
        "sub": request.user_id,
        "role": "authenticated",
        "aud": "authenticated",
        "iat": now - 5,
        "exp": now + 3600,
    }
    token = jwt.encode(claims, keys.signing_key, algorithm="HS256")
    body = b"" if request.body is None else json.dumps(request.body).encode()
    headers = {
        "Host": host,
        "apikey": keys.anon,
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        **request.headers,
    }
    if request.body is not None:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{request.method} {request.path} HTTP/1.1\r\n{head}\r\n".encode() + body
