"""Errors from outside that no folder wrapped, as errors of ours: for the edge of the command line alone."""

import errno
import sqlite3

import psycopg

from wedsync.errors import DiskFull, HomeProblem, StatementFailed, StateProblem, WedsyncError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_FREE_SPACE = "free space on the file system of the home, then run the command again: it goes on"


def as_problem(error: Exception) -> WedsyncError | None:  # noqa: PLR0911 - one return for each kind
    """The error in our words; `None` for one that can only be a mistake in the program."""
    match error:
        case ExceptionGroup():
            inner = [as_problem(each) if not isinstance(each, WedsyncError) else each for each in error.exceptions]
            return inner[0] if inner else None
        case OSError() if error.errno in _FULL:
            return DiskFull("the disk is full", detail=str(error), hint=_FREE_SPACE)
        case OSError() if error.errno in _FORBIDDEN:
            return HomeProblem(
                "a file of the home cannot be used",
                detail=str(error),
                hint="run this as the owner of the home (or as root, who becomes that user)",
            )
        case sqlite3.Error() if "full" in str(error):
            return DiskFull("the disk is full: state.db cannot be written", detail=str(error), hint=_FREE_SPACE)
        case sqlite3.Error():
            return StateProblem(
                "state.db cannot be used",
                detail=str(error),
                hint="is it damaged? Move it away after wedsync down: bin/up rebuilds it from the repositories",
            )
        case psycopg.Error():
            return StatementFailed(
                "PostgreSQL refused or lost a statement",
                detail=" ".join(str(error).split()),
                hint="wedsync doctor says which rights and settings are missing",
            )
        case _:
            return None
