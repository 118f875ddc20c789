"""What verification wrote down of a backup counts at once, also where no mark can be put into the repository."""

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from wedsync.backup.model import Archive, Backup, Catalogue, ProblemKind
from wedsync.state import StateStore


def with_known_damage(catalogue: Catalogue, state: StateStore) -> Catalogue:
    """The catalogue with what the state file knows of broken backups."""
    return replace(catalogue, backups=known_as_broken(catalogue.backups, state))


def known_as_broken(backups: Iterable[Backup], state: StateStore) -> tuple[Backup, ...]:
    """The backups, those marked as broken of which the state file knows it.

    pgBackRest annotates no backup whose manifest is gone, and none while another backup is taken.
    """
    rows = state.rows(
        "select repo, label, file, problem from verification_findings"
        " where ended_at is null and label is not null and kind in (?, ?) order by id",
        (ProblemKind.DAMAGED_BACKUP, ProblemKind.LOST_INFO),
    )
    known = {(row["repo"], row["label"]): f"{row['file'] or 'a file'}: {row['problem']}" for row in rows}
    return tuple(
        replace(backup, broken=backup.broken or known.get((backup.repo, backup.label))) for backup in backups
    )


def without_damaged(archives: Iterable[Archive], state: StateStore) -> tuple[Archive, ...]:
    """The archives without the segments that verification found damaged there: as good as missing.

    pgBackRest would hand them out, flipped bits and all, and PostgreSQL end its recovery in the middle of one.
    """
    rows = state.rows(
        "select repo, segments from verification_findings where ended_at is null and kind = ?",
        (ProblemKind.DAMAGED_WAL,),
    )
    damaged = {
        (row["repo"], name) for row in rows for name in msgspec.json.decode(row["segments"], type=list[str])
    }
    return tuple(
        replace(
            archive,
            segments=tuple(name for name in archive.segments if (archive.repo, name) not in damaged),
            sizes={name: size for name, size in archive.sizes.items() if (archive.repo, name) not in damaged},
        )
        for archive in archives
    )
