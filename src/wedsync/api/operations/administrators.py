"""Who may come in: holders of a token of the administrator's role."""

from starlette.requests import Request

from wedsync.api.callers import ADMINISTRATOR, Callers, address_of


class TokenAdministrators:
    """Whoever sends `Authorization: Bearer` with a token of `service_role`."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def administrator(self, request: Request) -> str:
        """Role and address, for the audit trail; raises `NotSignedIn` or `NotAdministrator`."""
        caller = await self._callers.require_administrator(
            request.headers.get("authorization"), request.headers.get("apikey")
        )
        person = f" ({caller.counted_as})" if caller.counted_as else ""
        return f"{ADMINISTRATOR}{person} from {address_of(request.scope) or 'unknown'}"
