"""Repositories that are elsewhere: WS33x."""

from wedsync.errors.backup import RepositoryUnreachable
from wedsync.errors.base import WedsyncError


class CredentialsRefused(RepositoryUnreachable):
    """A store refused the credentials of a repository, or what they may do there."""

    code = "WS331"


class CertificateRefused(RepositoryUnreachable):
    """Whoever answered in a repository's place could not prove to be it."""

    code = "WS332"


class StoreMissing(RepositoryUnreachable):
    """The bucket or container of a repository does not exist."""

    code = "WS333"


class ClockWrong(RepositoryUnreachable):
    """A store refused a request because this machine's clock differs too much from its own."""

    code = "WS334"


class TakenElsewhere(WedsyncError):
    """A repository is on a pgBackRest host: backups are taken and removed there, not from this machine."""

    code = "WS335"


class UndeleteRefused(WedsyncError):
    """What was deleted in a repository's store cannot be brought back from here."""

    code = "WS336"
