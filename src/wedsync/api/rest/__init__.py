"""The data API, `/rest/v1`: PostgREST's dialect, one statement a request, the database's own rules."""

from wedsync.api.rest.endpoint import RestApp
from wedsync.api.rest.settings import RestSettings

__all__ = ["RestApp", "RestSettings"]
