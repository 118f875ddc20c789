"""What pgBackRest prints, read."""

import json
from datetime import UTC, datetime

from support.backup_values import SYSTEM, archive, at, backup, timeline, timelines
from wedsync.backup import BackupKind, segment_name
from wedsync.backup.explain import explain
from wedsync.backup.report import (
    printable,
    read_clusters,
    read_error,
    read_info,
    read_listing,
    read_percent,
    read_verify,
)
from wedsync.backup.verification import judge_report, judge_wal
from wedsync.errors import (
    ArchivingStuck,
    BackupFailed,
    BackupKept,
    Busy,
    ForeignCluster,
    RepositoryFull,
    RepositoryUnreachable,
    WrongKey,
)
from wedsync.process import Finished

INFO = json.dumps(
    [
        {
            "backup": [
                {
                    "annotation": {"hold": "audit 2026"},
                    "archive": {"start": "000000010000000000000004", "stop": "000000010000000000000005"},
                    "database": {"id": 1, "repo-key": 1},
                    "error": True,
                    "info": {"delta": 8458, "repository": {"delta": 464, "size": 5427760}, "size": 29832900},
                    "label": "20261121-064022F_20261121-064025I",
                    "lsn": {"start": "0/4000028", "stop": "0/5000050"},
                    "prior": "20261121-064022F",
                    "reference": ["20261121-064022F"],
                    "timestamp": {"start": 1795243225, "stop": 1795243227},
                    "type": "incr",
                }
            ],
            "db": [{"id": 1, "repo-key": 1, "system-id": 7710510916509227027, "version": "15"}],
            "name": "wedsync",
            "repo": [
                {"key": 1, "status": {"code": 0, "message": "ok"}},
                {"key": 2, "status": {"code": 1, "message": "missing stanza path"}},
                {
                    "key": 3,
                    "status": {
                        "code": 99,
                        "message": "[FormatError] unable to load info file '/r/backup.info' or '/r/b.info.copy':"
                        "\nFormatError: key/value found outside of section at line 1: \x93\ufffd\x01=\ufffd",
                    },
                },
            ],
        }
    ]
)


def test_info_becomes_the_catalogue() -> None:
    catalogue = read_info(INFO, (1, 2, 3, 4))
    (found,) = catalogue.backups
    assert found.kind is BackupKind.INCR
    assert found.repo == 1
    assert found.system_id == "7710510916509227027"
    assert found.references == ("20261121-064022F",)
    assert found.held == "audit 2026"
    assert found.damaged
    assert str(found.lsn_stop) == "0/5000050"
    assert found.started_at == datetime.fromtimestamp(1795243225, UTC)
    assert (found.database_bytes, found.repo_bytes) == (29832900, 464)


def test_each_repository_says_in_words_what_is_wrong_with_it() -> None:
    one, two, three, four = read_info(INFO, (1, 2, 3, 4)).repositories
    assert one.ok
    assert not two.ok
    assert "empty, gone, or its disk is not mounted" in two.message
    assert not three.ok
    assert three.message == (
        "it was encrypted with another key than secrets/repo3_key, or backup.info and its copy are both damaged"
    )
    assert (four.ok, four.message) == (False, "it has no stanza yet")
    assert [item.empty for item in (one, two, three, four)] == [False, True, False, True]


def test_raw_bytes_of_an_encrypted_file_in_the_answer_do_no_harm() -> None:
    assert not read_info(INFO.replace("\\u0093", "\x01\x1b\ufffd"), (3,)).repositories[2].ok


def test_the_listing_becomes_the_archive_and_other_files_are_left_out() -> None:
    folder = "15-1/0000000100000000/"
    digest = "8b42e27bd33d6f559c2186d217bf9de7327fa641"
    names = {
        "15-1": {"type": "path"},
        f"{folder}000000010000000000000001-{digest}.zst": {"type": "file", "size": 1200, "time": 1},
        f"{folder}000000010000000000000002-{digest}": {"type": "file", "size": 16777216, "time": 1},
        f"{folder}000000010000000000000003.00000028.backup": {"type": "file", "size": 400, "time": 1},
        f"{folder}000000010000000000000004.partial-{digest}.zst": {"type": "file", "size": 400, "time": 1},
        f"{folder}000000010000000000000005-{digest}.zst.pgbackrest.tmp": {"type": "file", "size": 4, "time": 1},
        "15-1/00000002.history": {"type": "file", "size": 40, "time": 1795243225},
        "archive.info": {"type": "file", "size": 368, "time": 1},
    }
    (found,) = read_listing(json.dumps(names), repo=1, clusters=read_clusters(INFO, 1))
    assert found.segments == ("000000010000000000000001", "000000010000000000000002")
    assert found.sizes["000000010000000000000001"] == 1200
    assert found.histories == {2: datetime.fromtimestamp(1795243225, UTC)}
    assert found.system_id == "7710510916509227027"


def test_progress_is_read_from_lines_about_files_only() -> None:
    assert read_percent("P01 DETAIL: backup file /d/base/5/1249 (bundle 1/0, 440KB, 12.34%) checksum 77") == 12.34
    assert read_percent("P02 DETAIL: restore file /d/base/5/1249 (8KB, 100%) checksum 77") == 100
    assert read_percent("P00   INFO: full backup size = 28.5MB, file total = 967") is None


FULL = backup(at(0), wal=(2, 2))
INCR = backup(at(60), BackupKind.INCR, on=FULL, wal=(3, 3))
GOOD = f"""stanza: wedsync
status: ok
  archiveId: 15-1, total WAL checked: 8, total valid WAL: 8
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: {FULL.label}, status: valid, total files checked: 967, total valid files: 967
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
  backup: {INCR.label}, status: valid, total files checked: 967, total valid files: 967
    missing: 0, checksum invalid: 0, size invalid: 0, other: 0
"""


def test_a_whole_repository_has_no_problem_and_says_how_much_was_read() -> None:
    report = read_verify(GOOD)
    assert (report.status, report.segments, report.valid_segments) == ("ok", 8, 8)
    assert [item.files for item in report.backups] == [967, 967]
    assert judge_report(1, report, [FULL, INCR]) == []


def test_a_broken_file_is_named_once_with_its_backup() -> None:
    text = f"P02   INFO: invalid checksum '{FULL.label}/pg_data/base/5/2658.zst'\n" + GOOD.replace(
        "status: ok", "status: error"
    ).replace(
        "status: valid, total files checked: 967, total valid files: 967",
        "status: invalid, total files checked: 967, total valid files: 966",
    )
    (problem,) = judge_report(1, read_verify(text), [FULL, INCR])
    assert (problem.label, problem.file) == (FULL.label, "pg_data/base/5/2658.zst")
    assert problem.problem == "its content is not what was backed up"


def test_a_broken_segment_is_named() -> None:
    line = "P01   INFO: invalid result 15-1/0000000100000000/000000010000000000000004-142f.zst: [29] raised from"
    (problem,) = judge_report(1, read_verify(line + "\n" + GOOD.replace("ok", "error")), [FULL, INCR])
    assert problem.label is None
    assert problem.file == "15-1/0000000100000000/000000010000000000000004-142f.zst"


def test_a_missing_manifest_is_a_problem_though_pgbackrest_says_ok() -> None:
    text = GOOD.replace(
        "status: valid, total files checked: 967, total valid files: 967",
        "status: manifest missing, total files checked: 0, total valid files: 0",
        1,
    )
    (problem,) = judge_report(1, read_verify(text), [FULL, INCR])
    assert (problem.label, problem.file) == (FULL.label, "backup.manifest")


def test_a_backup_that_verify_does_not_mention_is_a_problem() -> None:
    (problem,) = judge_report(1, read_verify(GOOD), [FULL, INCR, backup(at(99))])
    assert problem.label == backup(at(99)).label


def test_an_answer_without_anything_in_it_is_a_problem() -> None:
    assert judge_report(1, read_verify(""), [])[0].problem == "pgBackRest says: status not given"
    wrong_key = "stanza: wedsync\nstatus: error\n  No usable backup.info file\n  No usable archive.info file\n"
    assert "No usable backup.info file" in judge_report(1, read_verify(wrong_key), [])[0].problem


ONE = timelines(timeline(1))


def test_a_missing_segment_inside_the_promise_is_found() -> None:
    (problem,) = judge_wal(
        [archive((1, 1, 4), (1, 6, 9)), archive((1, 1, 9), repo=2)], [FULL], promised_from=at(0), timelines=ONE
    )
    assert problem.file == segment_name(1, 5)
    assert problem.problem == "1 WAL segment(s) missing inside the recovery window; repo2 has it"


def test_a_segment_that_a_backup_needs_is_found_even_where_nothing_is_before_it() -> None:
    (problem,) = judge_wal([archive((1, 3, 9))], [FULL], promised_from=at(0), timelines=ONE)
    assert (problem.label, problem.file) == (FULL.label, segment_name(1, 2))


def test_a_complete_chain_is_no_problem() -> None:
    assert judge_wal([archive((1, 1, 9))], [FULL, INCR], promised_from=at(0), timelines=ONE) == []
    assert FULL.system_id == SYSTEM


def said(text: str) -> Finished:
    return Finished(program="pgbackrest", exit_status=1, stdout="", stderr=text, took_s=0.1)


def test_errors_are_told_apart() -> None:
    cases = {
        "ERROR: [050]: unable to acquire lock on file '/r/wedsync-backup.lock': Resource temporarily": Busy,
        "ERROR: [064]: unable to write '/r/x': [28] No space left on device": RepositoryFull,
        "ERROR: [082]: WAL segment 000000010000000000000007 was not archived before the 60000ms": ArchivingStuck,
        "ERROR: [075]: repo1: full backup X cannot be expired until another full backup has been": BackupKept,
        "ERROR: [051]: version 15, system-id 1 do not match stanza version 15, system-id 2": ForeignCluster,
        "ERROR: [049]: unable to connect to 'far:443': [111] Connection refused": RepositoryUnreachable,
        "ERROR: [095]: unable to load info file '/r/archive.info' or '/r/archive.info.copy'": WrongKey,
        "ERROR: [025]: something nobody has seen": BackupFailed,
    }
    for text, kind in cases.items():
        error = explain(said(text), "backup", repo=1, otherwise=BackupFailed)
        assert type(error) is kind, text
        assert error.detail


def test_the_lines_below_an_error_belong_to_it_and_the_summary_does_not_hide_it() -> None:
    error = read_error(
        "WARN: x\nERROR: [055]: first\n       HINT: look there\nERROR: [104]: expire encountered 1 error(s)"
    )
    assert error is not None
    assert (error.code, error.message) == (55, "first / HINT: look there")


def test_bytes_of_encrypted_files_never_reach_a_message() -> None:
    text = "unable to read: \ufffd\x00\x01junk\x07\nnext line"
    assert printable(text) == "unable to read / next line"
