"""Rows that are compared and brought back: WS43x."""

from wedsync.errors.base import WedsyncError


class RowsRefused(WedsyncError):
    """Rows cannot be compared or brought back: no such table, no key, a changed type, something missing."""

    code = "WS430"


class RowConflicts(WedsyncError):
    """Rows were changed since by somebody else, or cannot come back: nothing was done; the choice is asked for."""

    code = "WS431"
    exit_code = 3


class RowsChangedSince(WedsyncError):
    """Rows changed between the plan and its execution: nothing was done."""

    code = "WS432"
    exit_code = 3


class RowsLocked(WedsyncError):
    """Somebody else held a row for longer than is waited: nothing was done."""

    code = "WS433"


class RowsNotExact(WedsyncError):
    """What was written would not have been exactly what was planned: it was taken back before the commit."""

    code = "WS434"


class ErasedForGood(WedsyncError):
    """Whoever the rows are about was erased since: they do not come back."""

    code = "WS435"


class RowRecoveryUnknown(WedsyncError):
    """There is no recovery of rows with this id, or it cannot be undone any more."""

    code = "WS436"


class RowsOutcomeUnknown(WedsyncError):
    """The connection was lost at the commit of rows that were brought back, and nobody can be asked."""

    code = "WS437"


class RowsInterrupted(WedsyncError):
    """The server ended the work before the commit: nothing was done."""

    code = "WS438"
