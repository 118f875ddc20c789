"""What can go wrong, each with a fixed code, what was seen and what to do next.

The codes are grouped by the folder that raises them: WS1xx configuration and set-up, WS2xx cluster and
database, WS3xx backup, WS4xx recovery, WS5xx migrations, WS6xx demo. Each code has its own heading in
`docs/reference/errors.md`, which is generated from these classes.
"""

from typing import ClassVar


class WedsyncError(Exception):
    """Base of every error that is ours: a message, what was seen, and the next step.

    `message` says what happened in one line; `detail` what was seen; `hint` what to do. None of them
    ever holds a password or a key.
    """

    code: ClassVar[str] = "WS000"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        lines = [f"{self.message} [{self.code}]"]
        if self.detail:
            lines.append(f"  seen: {self.detail}")
        if self.hint:
            lines.append(f"  next: {self.hint}")
        return "\n".join(lines)


class UsageProblem(WedsyncError):
    """The words of a call are wrong; nothing was started."""

    code = "WS001"
    exit_code = 2


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
