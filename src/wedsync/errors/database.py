"""The cluster, connections, the gateway's pool and its catalogue: WS2xx."""

from wedsync.errors.base import WedsyncError


class CannotConnect(WedsyncError):
    """No connection to the database came about: nothing listens there, or the network or TLS failed."""

    code = "WS201"


class ServerNotReady(CannotConnect):
    """The server is there, but starts, recovers or stops: asking again is worth it."""

    code = "WS202"


class SignInRefused(CannotConnect):
    """The server refuses the role: wrong password, or no rule in pg_hba.conf lets it in."""

    code = "WS203"


class DataDirectoryProblem(WedsyncError):
    """The data directory is missing, damaged, or has the wrong owner or mode."""

    code = "WS204"


class WrongVersion(DataDirectoryProblem):
    """The data directory was made by another major version of PostgreSQL."""

    code = "WS205"


class ServerFailed(WedsyncError):
    """PostgreSQL ended while it was starting; the last lines of its log are in what was seen."""

    code = "WS206"


class ServerTimedOut(ServerFailed):
    """PostgreSQL did not start or stop within its deadline."""

    code = "WS207"


class ForeignServer(WedsyncError):
    """The data directory is in use by a server that is not this user's to touch."""

    code = "WS208"


class DiskFull(WedsyncError):
    """No space is left where the database or its backups are."""

    code = "WS209"


class SecretProblem(WedsyncError):
    """A secret or a private key is missing, unreadable, or open to other users of the machine."""

    code = "WS210"


class StatementFailed(WedsyncError):
    """PostgreSQL refused a statement, or was lost while it ran."""

    code = "WS211"


class RescueKitProblem(WedsyncError):
    """A rescue kit cannot be made, opened, or used here."""

    code = "WS212"


class PipelineBroken(WedsyncError):
    """A connection of the pool ended while a statement was on it, and running it again did not help."""

    code = "WS250"


class Overloaded(WedsyncError):
    """More is asked than the database can do in good time; nothing of this request was run."""

    code = "WS251"

    def __init__(self, message: str, *, retry_after_s: int, detail: str | None = None) -> None:
        super().__init__(message, detail=detail, hint=f"come again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class CommitUnknown(WedsyncError):
    """The connection was lost after a write was sent and before the answer: it may be committed, or not."""

    code = "WS252"


class PoolTimeout(WedsyncError):
    """No connection of the pool became free in time."""

    code = "WS253"


class PoolClosed(WedsyncError):
    """The pool is closed, or was not opened yet."""

    code = "WS254"


class ResultTooLarge(WedsyncError):
    """A statement gave more than the gateway takes into its memory; the connection was given up."""

    code = "WS255"


class LeaseOverdue(WedsyncError):
    """A connection was lent for longer than agreed and was taken back; its transaction is undone."""

    code = "WS256"


class LoginRoleUnfit(WedsyncError):
    """The role that the gateway connects as cannot become the roles it serves, or is more than it may be."""

    code = "WS257"


class SchemaMissing(WedsyncError):
    """A schema that the data API is to show is not in the database."""

    code = "WS260"


class CatalogueNotLoaded(WedsyncError):
    """The data API does not know yet what the database holds: it could not be asked since the gateway started."""

    code = "WS261"
