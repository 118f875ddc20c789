"""What a drill checks, by the state that the copy is in."""

from collections.abc import Sequence

from wedsync.drills.check import Check


def witness_checks() -> Sequence[Check]:
    """Checks against what was recorded: the copy is paused right before the LSN of `DrillContext.witness`.

    Where there is no witness on the way they run all the same, and say that nothing was compared.
    """
    return ()


def standard_checks() -> Sequence[Check]:
    """Checks that only read: the copy is paused at its moment."""
    return ()


def writing_checks() -> Sequence[Check]:
    """Checks that write: the copy was promoted, and archives nothing."""
    return ()


def offline_checks() -> Sequence[Check]:
    """Checks of the files: the copy's server was shut down cleanly."""
    return ()
