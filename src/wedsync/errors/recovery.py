"""Going back in time: WS340, WS40x."""

from wedsync.errors.base import WedsyncError
from wedsync.errors.database import ServerNotReady


class BeingTakenBack(ServerNotReady):
    """The server is in recovery: what writes has to wait for its end, what reads may be served."""

    code = "WS340"


class TargetUnreachable(WedsyncError):
    """The moment asked for cannot be restored: before every backup, in a gap of the WAL, or not yet there."""

    code = "WS401"


class RecoveryRefused(WedsyncError):
    """A recovery's preflight found that it would fail; nothing was changed."""

    code = "WS402"


class RecoveryFailed(WedsyncError):
    """A recovery stopped half-way; running it again goes on, and the state before is kept."""

    code = "WS403"


class NothingToUndo(WedsyncError):
    """There is no recovery that could be undone."""

    code = "WS404"
