"""The base of every error that is ours, and wrong usage."""

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

    def in_one_line(self) -> str:
        """What happened and what was seen, for a record or a table."""
        return f"{self.message}: {self.detail}" if self.detail else self.message

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
