"""Who calls: by the token or key in the headers of a request, or as nobody in particular."""

from wedsync.api.callers.api_keys import PREFIX, ApiKeys
from wedsync.api.callers.caller import Caller
from wedsync.api.callers.problems import TokenProblem, TokenProblemKind
from wedsync.api.callers.tokens import Tokens
from wedsync.errors import NotAdministrator, NotSignedIn

ADMINISTRATOR = "service_role"
_SIGN_IN = "send the header Authorization: Bearer KEY; wedsync keys prints the service_role key"


class Callers:
    """Knows callers by their headers: `Authorization: Bearer …` first, else `apikey`, else anonymous."""

    def __init__(self, tokens: Tokens, api_keys: ApiKeys | None = None) -> None:
        self.tokens = tokens
        self._api_keys = api_keys

    async def identify(self, authorization: bytes | None, apikey: bytes | None) -> Caller:
        """The caller that these headers name. Raises `TokenProblem`; asks the database for API keys only."""
        credential = _credential(authorization, apikey)
        if credential is None:
            return self.tokens.anonymous()
        if self._api_keys is not None and credential.startswith(PREFIX):
            return await self._api_keys.caller(credential)
        return self.tokens.caller(credential)

    def asks_database(self, authorization: bytes | None, apikey: bytes | None) -> bool:
        """Whether identifying whoever sends these headers costs a question to the database."""
        keys, credential = self._api_keys, _credential(authorization, apikey)
        return (
            keys is not None
            and credential is not None
            and credential.startswith(PREFIX)
            and not keys.knows(credential)
        )

    async def require_administrator(self, authorization: str | None, apikey: str | None = None) -> Caller:
        """The caller, who is an administrator; raises `NotSignedIn` or `NotAdministrator` for all others."""
        headers = [None if value is None else value.encode("latin-1") for value in (authorization, apikey)]
        if _credential(*headers) is None:
            raise NotSignedIn("this needs a token", hint=_SIGN_IN)
        try:
            caller = await self.identify(*headers)
        except TokenProblem as problem:
            if problem.kind is TokenProblemKind.ROLE:
                raise _not_administrator(problem.detail) from problem
            raise NotSignedIn("the token does not hold", detail=problem.message, hint=_SIGN_IN) from problem
        if "exp" not in caller.claims:
            raise NotSignedIn("the token does not hold", detail="it has no end (exp)", hint=_SIGN_IN)
        if caller.role != ADMINISTRATOR:
            raise _not_administrator(f"role {caller.role[:40]!r}")
        return caller


def _not_administrator(detail: str | None) -> NotAdministrator:
    return NotAdministrator(
        "this is for administrators", detail=detail, hint="use the service_role key: wedsync keys"
    )


def _credential(authorization: bytes | None, apikey: bytes | None) -> bytes | None:
    """The token or key that counts."""
    if authorization is not None:
        scheme, _, credential = authorization.partition(b" ")
        if scheme.lower() == b"bearer":
            return credential.strip()
    return apikey.strip() if apikey else None
