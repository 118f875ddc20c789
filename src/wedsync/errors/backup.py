"""Backups, the archive, what is found and mended in repositories, the receiver of WAL: WS30x to WS32x, WS341."""

from wedsync.errors.base import WedsyncError


class BackupFailed(WedsyncError):
    """A backup ended with an error; the ones before it are untouched."""

    code = "WS301"


class RepositoryUnreachable(WedsyncError):
    """A repository cannot be read or written: not mounted, not reachable, or not allowed."""

    code = "WS302"


class RepositoryFull(WedsyncError):
    """There is no space left where a repository is."""

    code = "WS303"


class WrongKey(WedsyncError):
    """A repository was encrypted with another key than the one in the home."""

    code = "WS304"


class ForeignCluster(WedsyncError):
    """A repository belongs to another cluster than the one that is running."""

    code = "WS305"


class ArchivingStuck(WedsyncError):
    """WAL does not reach the archive."""

    code = "WS306"


class RestoreFailed(WedsyncError):
    """pgBackRest could not restore the files of a backup."""

    code = "WS307"


class BackupUnknown(WedsyncError):
    """No repository has a backup with this label."""

    code = "WS308"


class SegmentUnreadable(WedsyncError):
    """A WAL segment is not in the archive, or its content is damaged."""

    code = "WS309"


class BackupKept(WedsyncError):
    """A backup must not be removed: it is held, or others or the promised window need it."""

    code = "WS310"


class StoredFileMissing(WedsyncError):
    """A file that a repository should hold is not there."""

    code = "WS320"


class StoredFileUnreadable(WedsyncError):
    """A file of a repository is there, and its content cannot be made sense of."""

    code = "WS321"


class RepairImpossible(WedsyncError):
    """What is damaged or missing in a repository cannot be put back: no whole copy of it was found."""

    code = "WS322"


class ReceiverFailed(WedsyncError):
    """The receiver of WAL cannot work: its directory, its slot, or its connection to the server."""

    code = "WS341"
