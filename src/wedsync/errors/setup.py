"""Configuration, the home, outside programs, locks and the state file: WS1xx."""

from wedsync.errors.base import WedsyncError


class ConfigProblem(WedsyncError):
    """A setting is unknown, malformed or contradicts another one."""

    code = "WS101"
    exit_code = 2


class HomeProblem(WedsyncError):
    """The platform's home cannot be used: not writable, not reachable, or somebody else's."""

    code = "WS102"


class EngineMissing(WedsyncError):
    """PostgreSQL or pgBackRest was not found, or is too old."""

    code = "WS103"


class PortTaken(WedsyncError):
    """Another program listens on a port that the platform wants."""

    code = "WS104"


class ProgramFailed(WedsyncError):
    """An outside program ended with an error."""

    code = "WS105"


class ProgramTimedOut(ProgramFailed):
    """An outside program did not end within its deadline and was stopped."""

    code = "WS106"


class StateProblem(WedsyncError):
    """The state file cannot be read or belongs to a newer version."""

    code = "WS107"


class Busy(WedsyncError):
    """Another process of ours holds the lock for this work."""

    code = "WS108"
