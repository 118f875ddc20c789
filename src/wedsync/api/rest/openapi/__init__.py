"""What there is in a schema, for people and generators of clients: OpenAPI 2.0 at the root of the data API."""

from wedsync.api.rest.openapi.document import MEDIA_TYPE, Address, Descriptions, describe
from wedsync.api.rest.openapi.visible import Visible, visible_to_caller

__all__ = ["MEDIA_TYPE", "Address", "Descriptions", "Visible", "describe", "visible_to_caller"]
