"""Media types: what a request accepts, and which of it the answer has."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from wedsync.api.rest.errors import media_type_unavailable
from wedsync.database.catalogue import ANY_ROW, Catalogue, Name


class Kind(StrEnum):
    """How the body of an answer is made."""

    JSON = "application/json"
    GEOJSON = "application/geo+json"
    CSV = "text/csv"
    OBJECT = "application/vnd.pgrst.object+json"
    ARRAY = "application/vnd.pgrst.array+json"
    PLAN = "application/vnd.pgrst.plan"
    ANY = "*/*"
    OTHER = "other"


_PLAN_OPTIONS = ("analyze", "verbose", "settings", "buffers", "wal")
_TYPE = re.compile(r"([\w.*]+)/([\w.*+-]+)((?:\s*;\s*[\w-]+\s*=\s*(?:\"[^\"]*\"|[\w|.-]+))*)\s*(?:;.*)?", re.ASCII)
_PARAMETER = re.compile(r";\s*([\w-]+)\s*=\s*(?:\"([^\"]*)\"|([\w|.-]+))", re.ASCII)
_SEPARATOR = re.compile(r",(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)")
_PLAIN = {
    "application/json": Kind.JSON,
    "application/geo+json": Kind.GEOJSON,
    "text/csv": Kind.CSV,
    "*/*": Kind.ANY,
}
_WITH_CHARSET = frozenset(
    {"text/plain", "text/xml", "application/openapi+json", "application/x-www-form-urlencoded"}
)


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type with what its parameters mean to us."""

    kind: Kind
    name: str
    """As it is said to clients, without charset."""
    nulls_stripped: bool = False
    of: "MediaType | None" = None
    """Of a plan: what would be planned for."""
    plan_format: str = "text"
    plan_options: tuple[str, ...] = ()

    @property
    def content_type(self) -> str:
        """The value of the header."""
        return (
            self.name
            if self.kind is Kind.OTHER and self.name not in _WITH_CHARSET
            else f"{self.name}; charset=utf-8"
        )


JSON = MediaType(Kind.JSON, "application/json")
_ANY = MediaType(Kind.ANY, "*/*")
OPENAPI = MediaType(Kind.OTHER, "application/openapi+json")


def media_type(text: str) -> MediaType:
    """The media type that a header names; one that is no media type stays as it was written."""
    whole = _TYPE.fullmatch(text)
    if whole is None:
        return MediaType(Kind.OTHER, text)
    name = f"{whole[1]}/{whole[2]}".lower()
    given = {
        found[1].lower(): found[2] if found[3] is None else found[3] for found in _PARAMETER.finditer(whole[3])
    }
    stripped = given.get("nulls") == "stripped"
    if name in _PLAIN:
        return MediaType(_PLAIN[name], name)
    if name in {"application/vnd.pgrst.object+json", "application/vnd.pgrst.object"}:
        return MediaType(Kind.OBJECT, _named(Kind.OBJECT, stripped), stripped)
    if name in {"application/vnd.pgrst.array+json", "application/vnd.pgrst.array"}:
        return MediaType(Kind.ARRAY, _named(Kind.ARRAY, stripped), stripped) if stripped else JSON
    base, _, suffix = name.partition("+")
    if base == "application/vnd.pgrst.plan" and suffix in {"", "text", "json"}:
        return _plan(suffix or "text", media_type(given.get("for", "application/json")), given.get("options", ""))
    return MediaType(Kind.OTHER, name if name in _WITH_CHARSET or name == "application/octet-stream" else text)


def accepted(header: bytes) -> tuple[MediaType, ...]:
    """What a client accepts, the most wanted first; no header accepts anything."""
    wanted = [_with_quality(part.strip()) for part in _SEPARATOR.split(header.decode("latin-1")) if part.strip()]
    return tuple(media_type(text) for _, text in sorted(wanted, key=lambda each: -each[0])) or (_ANY,)


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The media type of the answer, and what makes it where that is a function of the database's."""

    media: MediaType
    handler: Name | None = None
    handler_of: Name | None = None
    """Whose rows the handler takes."""


def negotiate(
    accepts: tuple[MediaType, ...], catalogue: Catalogue, of: Name, *, whole_rows: bool, plans: bool
) -> Negotiated:
    """The first accepted media type that can be made of rows of the table (or result of the function) `of`.

    Handlers of one table's rows need `whole_rows` (no `select`); plans are for those who may see them.
    Raises PGRST107.
    """
    own: Mapping[str, Name] = catalogue.media_handlers.get(of, {}) if whole_rows else {}
    for accept in accepts:
        found = _found(accept, own, catalogue, of)
        if found is not None and (plans or found.media.kind is not Kind.PLAN):
            return found
    raise media_type_unavailable([accept.name for accept in accepts])


def _found(accept: MediaType, own: Mapping[str, Name], catalogue: Catalogue, of: Name) -> Negotiated | None:
    if accept.kind in {Kind.OBJECT, Kind.ARRAY}:
        return Negotiated(accept)
    if accept.kind is Kind.PLAN:
        inner = _found(accept.of or JSON, own, catalogue, of)
        return Negotiated(accept, inner.handler, inner.handler_of) if inner else None
    return _handled(accept, own, catalogue, of) or _built_in(accept, catalogue)


def _handled(accept: MediaType, own: Mapping[str, Name], catalogue: Catalogue, of: Name) -> Negotiated | None:
    """By a function of the database's: for whatever of this, for this media type of this, of all rows."""
    if "*/*" in own:
        name = "application/octet-stream" if accept.kind is Kind.ANY else accept.name
        return Negotiated(MediaType(Kind.OTHER, name), own["*/*"], of)
    shared = catalogue.media_handlers.get(ANY_ROW, {})
    for handlers, whose in ((own, of), (shared, ANY_ROW)):
        if accept.name in handlers:
            return Negotiated(MediaType(Kind.OTHER, accept.name), handlers[accept.name], whose)
    return None


def _built_in(accept: MediaType, catalogue: Catalogue) -> Negotiated | None:
    if accept.kind in {Kind.JSON, Kind.ANY}:
        return Negotiated(JSON)
    if accept.kind is Kind.CSV or (accept.kind is Kind.GEOJSON and catalogue.has_postgis):
        return Negotiated(accept)
    return None


def _named(kind: Kind, stripped: bool) -> str:
    return f"{kind.value};nulls=stripped" if stripped else kind.value


def _plan(form: str, of: MediaType, options: str) -> MediaType:
    given = options.split("|")
    known = tuple(option for option in _PLAN_OPTIONS if option in given)
    said = f'application/vnd.pgrst.plan+{form}; for="{of.name}"'
    if known:
        said += f"; options={'|'.join(known)}"
    return MediaType(Kind.PLAN, said, of=of, plan_format=form, plan_options=known)


def _with_quality(text: str) -> tuple[float, str]:
    """How much a media type is wanted, and the media type without its `q`."""
    before, separator, value = text.partition(";q=")
    if not separator:
        before, separator, value = text.partition("; q=")
    if not separator:
        return 1.0, text
    number, _, rest = value.partition(";")
    try:
        return float(number), before + (f";{rest}" if rest else "")
    except ValueError:
        return 1.0, text
