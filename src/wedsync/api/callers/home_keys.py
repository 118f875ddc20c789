"""Who calls: the role that the token of a request names."""

import jwt

from wedsync.errors import NotAdministrator, NotSignedIn

ADMINISTRATOR = "service_role"
_ALGORITHM = "HS256"
_SIGN_IN = "send the header Authorization: Bearer KEY; wedsync keys prints the service_role key"


class Callers:
    """Checks the tokens that a home signs."""

    def __init__(self, signing_key: str) -> None:
        self._signing_key = signing_key

    def role(self, authorization: str | None) -> str:
        """The role that a request's token names; raises `NotSignedIn` without a token that holds."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise NotSignedIn("this needs a token", hint=_SIGN_IN)
        try:
            claims = jwt.decode(
                token.strip(), self._signing_key, algorithms=[_ALGORITHM], options={"require": ["exp", "role"]}
            )
        except jwt.PyJWTError as error:
            raise NotSignedIn("the token does not hold", detail=type(error).__name__, hint=_SIGN_IN) from error
        return str(claims["role"])

    def require_administrator(self, authorization: str | None) -> None:
        """Raise `NotSignedIn` or `NotAdministrator` unless the token is an administrator's."""
        role = self.role(authorization)
        if role != ADMINISTRATOR:
            raise NotAdministrator(
                "this is for administrators",
                detail=f"the token is of role {role[:40]!r}",
                hint="use the service_role key: wedsync keys",
            )
