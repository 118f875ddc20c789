"""What is read next, what is missing, which backups are broken, what can be put back."""

from dataclasses import replace
from datetime import datetime, timedelta

from support.backup_values import SYSTEM, archive, at, backup
from wedsync.backup import BackupKind, Finding, Problem, ProblemKind, segment_name
from wedsync.backup.verification.chain import (
    LiveTail,
    differences,
    judge_names,
    judge_tail,
    vanished,
    without_repetition,
)
from wedsync.backup.verification.contents import affected, is_critical, judge_backup, judge_copies
from wedsync.backup.verification.files import FileKind, StoredFile
from wedsync.backup.verification.ledger import KnownFile
from wedsync.backup.verification.manifest import Manifest, Part
from wedsync.backup.verification.marks import wanted_marks
from wedsync.backup.verification.repair import RepairKind, plan_repair
from wedsync.backup.verification.turns import coverage, next_files, rate

WEEK = timedelta(days=7)
SLICE = timedelta(minutes=10)
NOW = at(60 * 24 * 30)
MB = 1_000_000
FULL = backup(at(0), wal=(1, 1))
INCR = backup(at(60), BackupKind.INCR, on=FULL, wal=(5, 5))
OTHER = backup(at(30), repo=2, wal=(3, 3))


def known(
    name: str, read_at: datetime | None, *, size: int = MB, kind: FileKind = FileKind.BACKUP, whole: bool = True
) -> KnownFile:
    return KnownFile(
        repo=1, path=name, kind=kind, size_bytes=size, modified_at=at(0), listed_at=at(0), read_at=read_at,
        whole=whole if read_at else None,
    )  # fmt: skip


def chosen(*files: KnownFile, bytes_per_second: int = 20 * MB) -> list[str]:
    found = next_files(files, now=NOW, within=WEEK, slice_every=SLICE, bytes_per_second=bytes_per_second)
    return [file.path for file in found]


def test_new_files_come_first_then_the_one_read_longest_ago_and_none_that_was_read_lately() -> None:
    old, older, fresh = NOW - timedelta(days=4), NOW - timedelta(days=5), NOW - timedelta(days=1)
    files = [known("old", old), known("fresh", fresh), known("older", older), known("new", None)]
    assert chosen(*files) == ["new", "older", "old"]


def test_a_slice_is_the_share_of_all_bytes_that_time_asks_for_and_all_new_wal() -> None:
    many = [known(f"{n:04}", None, size=200 * MB) for n in range(1000)]
    wal = [known(f"wal{n}", None, kind=FileKind.WAL) for n in range(50)]
    found = chosen(*many, *wal)
    assert sum(name.startswith("wal") for name in found) == 50
    # 200 GB in three quarters of a week are 265 MB each ten minutes
    assert sum(not name.startswith("wal") for name in found) == 2
    assert sum(not name.startswith("wal") for name in chosen(*many, *wal, bytes_per_second=100_000)) == 1


def test_damaged_files_are_read_again_after_hours_and_a_clock_that_was_wrong_hides_nothing() -> None:
    assert chosen(known("a", NOW - timedelta(hours=7), whole=False), known("b", NOW - timedelta(hours=7))) == ["a"]
    assert chosen(known("a", NOW - timedelta(hours=5), whole=False)) == []
    assert chosen(known("future", NOW + timedelta(days=400))) == ["future"]


def test_a_whole_week_of_slices_reads_every_file_in_time() -> None:
    files = {f"{n:03}": known(f"{n:03}", None, size=900 * MB) for n in range(300)}
    now = NOW
    while now < NOW + WEEK:
        turn = next_files(files.values(), now=now, within=WEEK, slice_every=SLICE, bytes_per_second=20 * MB)
        for file in turn:
            files[file.path] = replace(file, read_at=now, whole=True)
        now += SLICE
    assert all(file.read_at is not None for file in files.values())
    reached = coverage(1, list(files.values()), None, now=now, within=WEEK, bytes_per_second=MB)
    assert (reached.share, reached.behind_since, reached.never_read) == (1.0, None, 0)


def test_coverage_says_what_is_behind_and_when_it_will_be_done() -> None:
    files = [known("a", NOW - timedelta(days=8)), known("b", NOW - timedelta(days=1)), known("c", None)]
    found = coverage(1, files, None, now=NOW, within=WEEK, bytes_per_second=MB)
    assert (found.files, found.read_files, found.never_read) == (3, 1, 1)
    assert found.behind_since == at(0) + WEEK
    assert found.done_at == NOW + timedelta(seconds=2)
    assert coverage(1, [], None, now=NOW, within=WEEK, bytes_per_second=MB).is_well is False
    assert rate(10**15, within=WEEK, bytes_per_second=20 * MB) == 20 * MB


def wal(repo: int, number: int, *, sha1: str = "a" * 40, minutes_ago: float = 60) -> StoredFile:
    name = segment_name(1, number)
    return StoredFile(
        repo=repo, path=f"archive/wedsync/15-1/{name[:16]}/{name}-{sha1}.zst", kind=FileKind.WAL, size_bytes=700,
        modified_at=NOW - timedelta(minutes=minutes_ago), archive_id="15-1", segment=name, sha1=sha1,
    )  # fmt: skip


def test_what_one_region_has_and_the_other_should_is_missing_once_it_had_time_to_arrive() -> None:
    archives = [archive((1, 1, 9)), archive((1, 3, 5), (1, 7, 7), repo=2)]
    files = [wal(1, number, minutes_ago=60 if number < 9 else 2) for number in range(1, 10)]
    bases = {1: FULL, 2: OTHER}
    found = differences(archives, files, bases, now=NOW)
    assert [(item.repo, item.segments) for item in found] == [
        (2, (segment_name(1, 6),)),
        (2, (segment_name(1, 8),)),
    ], "9 may be on its way; 1 and 2 are older than all that repo2 needs"
    assert "repo1 has" in found[0].problem
    assert differences(archives, files, {}, now=NOW) == []


def test_the_last_archived_segment_must_be_everywhere() -> None:
    archives = [archive((1, 1, 9)), archive((1, 3, 8), repo=2)]
    tail = LiveTail(segment=segment_name(1, 9), at=NOW - timedelta(minutes=5))
    (problem,) = judge_tail(archives, tail, now=NOW)
    assert (problem.repo, problem.segments, problem.critical) == (2, (segment_name(1, 9),), False)
    assert judge_tail(archives, replace(tail, at=NOW), now=NOW) == []
    assert judge_tail(archives, None, now=NOW) == []
    (problem,) = judge_tail(archives[1:], tail, now=NOW)
    assert problem.critical


def test_what_vanished_is_missing_unless_retention_let_go_of_it() -> None:
    own = archive((1, 3, 8), repo=2)
    gone = [segment_name(1, number) for number in (1, 2, 9, 10)]
    (problem,) = vanished(gone, own, [own], OTHER)
    assert problem.segments == (segment_name(1, 9), segment_name(1, 10))
    assert problem.critical
    assert vanished(gone, own, [own], None) == []


def test_one_name_with_two_contents_is_told_for_each_place() -> None:
    systems = {(1, "15-1"): SYSTEM, (2, "15-1"): SYSTEM}
    same = [wal(1, 4), wal(2, 4), wal(1, 5), wal(2, 5)]
    assert judge_names(same, systems) == []
    found = judge_names([*same, wal(2, 5, sha1="b" * 40)], systems)
    assert [(item.repo, item.kind, item.critical) for item in found] == [
        (repo, ProblemKind.OTHER_WAL, True) for repo in (1, 2, 2)
    ]
    assert judge_names([wal(1, 4), wal(2, 4, sha1="b" * 40)], systems | {(2, "15-1"): "another cluster"}) == []


def missing(*numbers: int, repo: int = 1) -> Problem:
    names = tuple(segment_name(1, number) for number in numbers)
    return Problem(
        repo=repo, label=None, file=names[0], problem="missing", kind=ProblemKind.MISSING_WAL, segments=names
    )


def test_a_missing_segment_is_told_once() -> None:
    found = without_repetition([missing(4), missing(4, 5), missing(4, 5), missing(4, repo=2)])
    assert [(item.repo, len(item.segments)) for item in found] == [(1, 1), (1, 1), (2, 1)]
    assert found[1].segments == (segment_name(1, 5),)


def stored(path: str, kind: FileKind, label: str | None = None) -> StoredFile:
    return StoredFile(repo=1, path=path, kind=kind, size_bytes=1, modified_at=at(0), label=label)


def test_what_is_written_twice_must_be_there_twice() -> None:
    there = [
        "archive/wedsync/archive.info",
        "archive/wedsync/archive.info.copy",
        "backup/wedsync/backup.info.copy",
    ]
    files = [stored(path, FileKind.INFO) for path in there]
    found = judge_copies(files, repo=1, stanza="wedsync", labels=[FULL.label])
    assert [(item.kind, item.path, item.label) for item in found] == [
        (ProblemKind.DAMAGED_INFO, "backup/wedsync/backup.info", None),
        (ProblemKind.LOST_INFO, f"backup/wedsync/{FULL.label}/backup.manifest", FULL.label),
    ]


MANIFEST = Manifest(
    files={
        "bundle/1": (Part(name="a", offset=0, length=1, sha1="x"), Part(name="b", offset=1, length=1, sha1="y"))
    },
    borrowed={FULL.label: frozenset({"b"})},
)


def test_files_that_the_manifest_names_must_be_there() -> None:
    stem = f"backup/wedsync/{FULL.label}/"
    like = stored(f"{stem}backup.manifest", FileKind.MANIFEST, FULL.label)
    (problem,) = judge_backup(MANIFEST, [like], like=like)
    assert (problem.path, problem.parts) == (f"{stem}bundle/1", ("a", "b"))
    bundle = stored(f"{stem}bundle/1", FileKind.BACKUP, FULL.label)
    assert judge_backup(MANIFEST, [bundle], like=like) == []


def damage(*parts: str) -> Problem:
    return Problem(
        repo=1, label=FULL.label, file="bundle/1", problem="changed", kind=ProblemKind.DAMAGED_BACKUP,
        path=f"backup/wedsync/{FULL.label}/bundle/1", parts=parts,
    )  # fmt: skip


def test_a_backup_is_broken_by_what_it_took_over_and_by_nothing_else() -> None:
    backups = [FULL, INCR, OTHER]
    assert affected(damage("b"), backups, {INCR.label: MANIFEST}) == (FULL.label, INCR.label)
    assert affected(damage("a"), backups, {INCR.label: MANIFEST}) == (FULL.label,)
    assert affected(damage("a"), backups, {}) == (FULL.label, INCR.label), "not known is not good"
    assert affected(missing(4), backups, {}) == ()
    marks = wanted_marks([damage("b")], [FULL, INCR], {INCR.label: MANIFEST})
    assert marks[FULL.label] == "bundle/1: changed"
    assert FULL.label in marks[INCR.label]


def test_a_backup_is_critical_when_nothing_as_old_leads_on() -> None:
    assert is_critical(FULL.label, 1, [FULL, INCR, OTHER])
    assert not is_critical(OTHER.label, 2, [FULL, INCR, OTHER])
    assert is_critical(OTHER.label, 2, [replace(FULL, broken="bundle/1"), OTHER])
    assert not is_critical("unknown", 1, [FULL])


def finding(problem: Problem) -> Finding:
    return Finding(
        id=1,
        problem=problem,
        found_at=NOW,
        seen_at=NOW,
        ended_at=None,
        ended_by=None,
        repair=None,
        quarantine=None,
    )


def test_wal_is_put_back_from_wherever_it_is() -> None:
    archives = [archive((1, 1, 3), (1, 6, 9)), archive((1, 3, 4), (1, 6, 9), repo=2)]
    plan = plan_repair(finding(missing(4, 5)), archives=archives, files={}, local={})
    assert (plan.kind, plan.sources, plan.segments) == (RepairKind.WAL, (2,), (segment_name(1, 4),))
    assert "1 are nowhere" in plan.words
    plan = plan_repair(
        finding(missing(4, 5)),
        archives=archives,
        files={},
        local={archives[0].system_id: frozenset({segment_name(1, 5)})},
    )
    assert len(plan.segments) == 2
    assert "this machine" in plan.words
    nowhere = plan_repair(finding(missing(5)), archives=archives, files={}, local={})
    assert (nowhere.kind, nowhere.words) == (RepairKind.NONE, "no other repository has it, nor this machine")
    foreign = [archives[0], archive((1, 1, 9), repo=2, system_id="another")]
    assert plan_repair(finding(missing(5)), archives=foreign, files={}, local={}).kind is RepairKind.NONE


def test_what_cannot_be_put_back_says_why() -> None:
    for kind in ProblemKind:
        problem = replace(missing(99), kind=kind, path="backup/wedsync/backup.info")
        plan = plan_repair(finding(problem), archives=[archive((1, 1, 3))], files={}, local={})
        assert plan.kind is RepairKind.NONE, kind
        assert len(plan.words) > 20
    copy = stored("backup/wedsync/backup.info.copy", FileKind.INFO)
    problem = replace(missing(99), kind=ProblemKind.DAMAGED_INFO, path="backup/wedsync/backup.info")
    plan = plan_repair(finding(problem), archives=[], files={1: [copy]}, local={})
    assert (plan.kind, plan.twin, plan.damaged) == (RepairKind.COPY, copy.path, None)
