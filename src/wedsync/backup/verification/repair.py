"""What can be put back, and from where: plain decisions over findings and what the repositories hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from wedsync.backup.model import Archive, Problem, ProblemKind
from wedsync.backup.verification.files import FileKind, StoredFile
from wedsync.backup.verification.ledger import Finding

_IMPOSSIBLE = {
    ProblemKind.DAMAGED_BACKUP: "a backup cannot be put back from another region (own key, own label):"
    " it is not used any more, and a new one is taken",
    ProblemKind.LOST_INFO: "both copies are damaged: restore the file from the storage's own versions",
    ProblemKind.OTHER_WAL: "two servers archived to this place: find out which one lives; nothing is removed",
    ProblemKind.REPOSITORY: "somebody has to look at it",
    ProblemKind.OTHER: "somebody has to look at it",
}


class RepairKind(StrEnum):
    """How something is repaired."""

    WAL = "wal"
    """A segment is fetched from another place, checked, and archived again."""
    COPY = "copy"
    """One of pgBackRest's own files is made anew from its copy."""
    NONE = "none"
    """It cannot be: why is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What will be done about one finding."""

    finding: Finding
    kind: RepairKind
    words: str
    """What will be done, or why nothing can be."""
    segments: tuple[str, ...] = ()
    sources: tuple[int, ...] = ()
    """Repositories to take the segments from, the first first; this machine is asked before them."""
    damaged: str | None = None
    """Path of the damaged file, which is put aside first."""
    twin: str | None = None


def plan_repair(
    finding: Finding,
    *,
    archives: Sequence[Archive],
    files: Mapping[int, Sequence[StoredFile]],
    local: Mapping[str, frozenset[str]],
) -> Repair:
    """What can be done about a finding. `files` by repository; `local` are segments that this machine
    has a copy of, by system identifier."""
    problem = finding.problem
    match problem.kind:
        case ProblemKind.MISSING_WAL | ProblemKind.DAMAGED_WAL:
            return _wal(finding, archives, local)
        case ProblemKind.DAMAGED_INFO:
            return _copy(finding, files.get(problem.repo, ()))
        case ProblemKind.LOST_INFO if problem.label:
            return _none(
                finding, "both manifests are damaged: the backup is not used any more, a new one is taken"
            )
        case _:
            return _none(finding, _IMPOSSIBLE[problem.kind])


def _wal(finding: Finding, archives: Sequence[Archive], local: Mapping[str, frozenset[str]]) -> Repair:
    problem = finding.problem
    wanted = set(problem.segments)
    own = [archive for archive in archives if archive.repo == problem.repo]
    systems = {archive.system_id for archive in own}
    sources = tuple(
        archive.repo
        for archive in sorted(archives, key=lambda archive: archive.repo)
        if archive.repo != problem.repo and archive.system_id in systems and wanted.intersection(archive.segments)
    )
    here = frozenset[str]().union(*(local.get(system, frozenset()) for system in systems))
    have = here.union(*(set(archive.segments) for archive in archives if archive.repo in sources))
    found = tuple(name for name in problem.segments if name in have)
    if not found:
        return _none(finding, "no other repository has it, nor this machine")
    places = [f"repo{repo}" for repo in sources] + (["this machine"] if here.intersection(found) else [])
    left = len(wanted) - len(found)
    words = f"{len(found)} segment(s) from {' or '.join(places)}" + (f"; {left} are nowhere" if left else "")
    return Repair(
        finding=finding,
        kind=RepairKind.WAL,
        words=words,
        segments=found,
        sources=sources,
        damaged=problem.path if problem.kind is ProblemKind.DAMAGED_WAL else None,
    )


def _copy(finding: Finding, files: Sequence[StoredFile]) -> Repair:
    problem = finding.problem
    path = problem.path or ""
    twin = path.removesuffix(".copy") if path.endswith(".copy") else f"{path}.copy"
    by_path = {file.path: file for file in files}
    if twin not in by_path or by_path[twin].kind not in (FileKind.INFO, FileKind.MANIFEST):
        return _none(finding, "the other copy is not there either")
    return Repair(
        finding=finding,
        kind=RepairKind.COPY,
        words=f"from {twin.rpartition('/')[2]} beside it",
        damaged=path if path in by_path else None,
        twin=twin,
    )


def _none(finding: Finding, why: str) -> Repair:
    return Repair(finding=finding, kind=RepairKind.NONE, words=why)


def is_repaired_here(problem: Problem) -> bool:
    """Whether something can be put back where it belongs."""
    return problem.kind in (ProblemKind.MISSING_WAL, ProblemKind.DAMAGED_WAL, ProblemKind.DAMAGED_INFO)
