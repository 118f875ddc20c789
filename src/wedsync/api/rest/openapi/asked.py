"""What a request for the description is answered with, besides the document."""

from starlette.types import Scope

from wedsync.api.rest.errors import media_type_unavailable
from wedsync.api.rest.media import OPENAPI, Kind, accepted
from wedsync.api.rest.openapi.document import Address
from wedsync.api.rest.prepared import Header
from wedsync.api.rest.request import Profile


def headers_of(profile: Profile, accept: bytes) -> list[Header]:
    """The headers of the answer: OpenAPI, also where any JSON is accepted. Raises PGRST107."""
    accepts = accepted(accept)
    if not any(media.kind in {Kind.JSON, Kind.ANY} or media.name == OPENAPI.name for media in accepts):
        raise media_type_unavailable([media.name for media in accepts])
    told = [(b"content-profile", profile.schema.encode())] if profile.is_told else []
    return [(b"content-type", OPENAPI.content_type.encode()), *told]


def address_of(scope: Scope) -> Address:
    """Where the request found us, as it says itself."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    server = scope.get("server") or ("localhost", None)
    return Address(
        scheme=scope.get("scheme", "http"),
        host=host.decode("latin-1") or f"{server[0]}:{server[1]}",
        base_path=scope.get("root_path", "") or "/",
    )
