"""What there is in a schema, for people and generators of clients: OpenAPI 2.0 at the root of the data API."""

from wedsync.api.rest.openapi.asked import address_of, headers_of
from wedsync.api.rest.openapi.document import Address, Descriptions, describe
from wedsync.api.rest.openapi.visible import Visible, visible_to_caller

__all__ = [
    "Address",
    "Descriptions",
    "Visible",
    "address_of",
    "describe",
    "headers_of",
    "visible_to_caller",
]
