"""Calls over HTTP, load tests, the client: WS8xx."""

from wedsync.errors.base import WedsyncError


class NotSignedIn(WedsyncError):
    """A call over HTTP has no token, or one that does not hold."""

    code = "WS801"


class NotAdministrator(WedsyncError):
    """The token of a call over HTTP is not an administrator's."""

    code = "WS802"


class TooManyCalls(WedsyncError):
    """A sensitive call was made more often than is allowed."""

    code = "WS803"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, hint=f"come again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class TooLarge(WedsyncError):
    """The body of a call over HTTP is larger than anything it may hold."""

    code = "WS804"


class LetterNotSent(WedsyncError):
    """An e-mail could not be handed to the mail server, or written to its file; it is tried again."""

    code = "WS820"


class SignInNotThere(WedsyncError):
    """The database has no tables to sign in with: the migrations that make them were not applied."""

    code = "WS821"


class GatewayRefused(WedsyncError):
    """The gateway cannot serve this database as it was asked to: a role, a schema or a right is missing."""

    code = "WS832"


class FiguresMissing(WedsyncError):
    """The database does not have what the platform's migrations make, or the role may not use it."""

    code = "WS840"


class NotThere(WedsyncError):
    """No job, run or backup has this id."""

    code = "WS841"


class KeyReused(WedsyncError):
    """An idempotency key came a second time with another request."""

    code = "WS842"


class OutcomeUnknown(WedsyncError):
    """A request with this idempotency key was begun, and nobody wrote down how it ended."""

    code = "WS843"


class NotConfirmed(WedsyncError):
    """What destroys is done only when the call repeats what it is about."""

    code = "WS844"


class LoadTestRefused(WedsyncError):
    """A load test was not started: another one runs, nobody could ask, or it goes further than it may."""

    code = "WS850"


class LoadTestFailed(WedsyncError):
    """A load test could not be carried out; what it had written was removed."""

    code = "WS851"


class ConnectionLost(WedsyncError):
    """The connection ended before the transaction was committed: nothing of it was kept."""

    code = "WS855"


class TransactionUndone(WedsyncError):
    """A transaction was to be committed after one of its statements had failed: PostgreSQL undid it."""

    code = "WS856"
