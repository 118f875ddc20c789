"""What a drill checks, by the state that the copy is in."""

from collections.abc import Sequence

from wedsync.drills.check import Check
from wedsync.drills.checks.catalogue import check_catalogue
from wedsync.drills.checks.collations import check_collations
from wedsync.drills.checks.constraints import check_constraints
from wedsync.drills.checks.digests import check_digests
from wedsync.drills.checks.extensions import check_extensions
from wedsync.drills.checks.heartbeat import check_heartbeat
from wedsync.drills.checks.indexes import check_indexes
from wedsync.drills.checks.isolation import check_isolation
from wedsync.drills.checks.ledger import check_ledger
from wedsync.drills.checks.pages import check_pages
from wedsync.drills.checks.photo_groups import check_photo_groups
from wedsync.drills.checks.structure import check_structure


def witness_checks() -> Sequence[Check]:
    """Checks against what was recorded: the copy is paused right before the LSN of `DrillContext.witness`.

    Where there is no witness on the way they run all the same, and say that nothing was compared.
    """
    return (check_digests, check_catalogue)


def standard_checks() -> Sequence[Check]:
    """Checks that only read: the copy is paused at its moment."""
    return (
        check_heartbeat,
        check_isolation,
        check_constraints,
        check_indexes,
        check_collations,
        check_extensions,
        check_ledger,
    )


def writing_checks() -> Sequence[Check]:
    """Checks that write: the copy was promoted, and archives nothing."""
    return (check_photo_groups, check_structure)


def offline_checks() -> Sequence[Check]:
    """Checks of the files: the copy's server was shut down cleanly."""
    return (check_pages,)
