"""Copies of the cluster, and looks at a moment of the past: WS42x, WS44x."""

from wedsync.errors.base import WedsyncError


class CopyRefused(WedsyncError):
    """A copy of the cluster is not made: there is no room for it, or there are enough already."""

    code = "WS421"


class CopyFailed(WedsyncError):
    """A copy of the cluster could not be made or moved; the cluster itself is untouched."""

    code = "WS422"


class WalDamaged(CopyFailed):
    """The replay of a copy ended in a damaged WAL segment; it is noted, and no way leads over it any more."""

    code = "WS428"


class CopyPassed(WedsyncError):
    """A copy is past the moment asked for, or on another timeline: a new copy is needed."""

    code = "WS423"


class CopyUnknown(WedsyncError):
    """There is no such copy (any more)."""

    code = "WS424"


class PreviewAway(WedsyncError):
    """A preview cannot be asked now: it is being made, it moves, or its server ended."""

    code = "WS440"


class PreviewReadOnly(WedsyncError):
    """A preview shows a moment of the past: what would change it is refused."""

    code = "WS441"


class LiveDatabaseAway(WedsyncError):
    """A moment of the past cannot be compared with now: the live database does not answer."""

    code = "WS442"
