"""Is everything there that must be: backups against what their repository lists."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from wedsync.backup.model import Backup, Problem, ProblemKind
from wedsync.backup.verification.files import FileKind, StoredFile
from wedsync.backup.verification.manifest import Manifest
from wedsync.backup.verification.reading import MISSING, damaged

_BOTH_GONE = "it is missing: this backup cannot be restored"


def judge_copies(files: Sequence[StoredFile], *, repo: int, stanza: str, labels: Iterable[str]) -> list[Problem]:
    """What pgBackRest writes twice, and is there once or not at all; it takes the other one and says nothing."""
    there = {file.path for file in files}
    wanted = [(None, f"archive/{stanza}/archive.info"), (None, f"backup/{stanza}/backup.info")]
    wanted += [(label, f"backup/{stanza}/{label}/backup.manifest") for label in labels]
    found: list[Problem] = []
    for label, path in wanted:
        gone = [name for name in (path, f"{path}.copy") if name not in there]
        for name in gone[:1]:
            both = len(gone) > 1
            words = _BOTH_GONE if label else "it is missing, and its copy as well"
            found.append(
                Problem(
                    repo=repo,
                    label=label,
                    file=name.rpartition("/")[2],
                    problem=words if both else "it is missing: pgBackRest works with the other copy alone",
                    kind=ProblemKind.LOST_INFO if both else ProblemKind.DAMAGED_INFO,
                    path=name,
                )
            )
    return found


def judge_backup(manifest: Manifest, files: Iterable[StoredFile], *, like: StoredFile) -> list[Problem]:
    """Files of a backup that its manifest names and its directory does not have; `like` is the manifest."""
    assert like.label is not None  # noqa: S101 - a manifest is in a backup's directory
    there = {file.name for file in files if file.label == like.label}
    stem = like.path.removesuffix(like.name)
    return [
        damaged(replace(like, path=f"{stem}{place}", kind=FileKind.BACKUP), parts, MISSING)
        for place, parts in sorted(manifest.files.items())
        if place not in there
    ]


def affected(problem: Problem, backups: Iterable[Backup], manifests: Mapping[str, Manifest]) -> tuple[str, ...]:
    """Labels of the backups that cannot be restored because of a problem.

    A backup that took the damaged files over from an earlier one is as broken as that; where its manifest is not
    known, it is taken to be.
    """
    if problem.label is None:
        return ()
    if problem.kind is ProblemKind.LOST_INFO:
        return (problem.label,)
    if problem.kind is not ProblemKind.DAMAGED_BACKUP:
        return ()
    found = [problem.label]
    for backup in backups:
        if backup.repo != problem.repo or problem.label not in backup.references:
            continue
        manifest = manifests.get(backup.label)
        taken = manifest.borrowed.get(problem.label, frozenset()) if manifest else None
        if taken is None or not problem.parts or taken.intersection(problem.parts):
            found.append(backup.label)
    return tuple(found)


def is_critical(label: str, repo: int, backups: Sequence[Backup]) -> bool:
    """Whether moments cannot be restored without this backup: no good one that is as old, in any repository."""
    lost = next((item for item in backups if (item.repo, item.label) == (repo, label)), None)
    if lost is None:
        return False
    return not any(
        item.is_good
        and (item.repo, item.label) != (repo, label)
        and item.system_id == lost.system_id
        and item.finished_at <= lost.finished_at
        and label not in item.references
        for item in backups
    )
