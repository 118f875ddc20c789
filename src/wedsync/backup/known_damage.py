"""What verification wrote down of a backup counts at once, also where no mark can be put into the repository."""

from dataclasses import replace

from wedsync.backup.model import Catalogue, ProblemKind
from wedsync.state import StateStore


def with_known_damage(catalogue: Catalogue, state: StateStore) -> Catalogue:
    """The catalogue with what the state file knows of broken backups.

    pgBackRest annotates no backup whose manifest is gone, and none while another backup is taken.
    """
    rows = state.rows(
        "select repo, label, file, problem from verification_findings"
        " where ended_at is null and label is not null and kind in (?, ?) order by id",
        (ProblemKind.DAMAGED_BACKUP, ProblemKind.LOST_INFO),
    )
    known = {(row["repo"], row["label"]): f"{row['file'] or 'a file'}: {row['problem']}" for row in rows}
    return replace(
        catalogue,
        backups=tuple(
            replace(backup, broken=backup.broken or known.get((backup.repo, backup.label)))
            for backup in catalogue.backups
        ),
    )
