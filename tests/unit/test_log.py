"""What is logged is readable by machines, bounded, private, and without secrets."""

import io
import json
import logging
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from wedsync import log as log_module
from wedsync.events import Event, observe
from wedsync.log import configure_logging, log_to_terminal, mask_secrets, mask_text


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """The rest of the run logs as before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_service_logs_json_lines_to_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "log/gateway.log"
    configure_logging(file=file, json=True)
    structlog.get_logger().info("backup_finished", took_s=1.5, label="20261121-071200F")
    (line,) = lines(file)
    assert (line["event"], line["level"], line["took_s"]) == ("backup_finished", "info", 1.5)
    assert line["at"].endswith("Z")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_other_libraries_lines_take_the_same_way_and_are_masked(tmp_path: Path) -> None:
    configure_logging(file=tmp_path / "log")
    logging.getLogger("uvicorn.error").warning("cannot reach %s", "postgresql://me:hush@db/wedsync")
    (line,) = lines(tmp_path / "log")
    assert line["event"] == "cannot reach postgresql://me:***@db/wedsync"
    assert line["logger"] == "uvicorn.error"


def test_a_terminal_gets_words(tmp_path: Path) -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.get_logger().warning("archive_late", repo=2, password="hush")
    assert "archive_late" in stream.getvalue()
    assert "repo=2" in stream.getvalue()
    assert "hush" not in stream.getvalue()


def fail_with(dsn: str) -> None:
    kept_in_a_local = "only-" + "here"
    raise ValueError(f"bad DSN {dsn}, {len(kept_in_a_local)}")


def test_an_exception_is_told_without_local_variables_and_without_passwords(tmp_path: Path) -> None:
    stream = io.StringIO()
    for to_file in (True, False):
        configure_logging(file=tmp_path / "log" if to_file else None, stream=stream)
        try:
            fail_with("postgresql://me:hush@db/x")
        except ValueError:
            structlog.get_logger().exception("failed")
    for said in ((tmp_path / "log").read_text(), stream.getvalue()):
        assert "ValueError" in said
        assert "hush" not in said
        assert "only-here" not in said


def test_the_last_call_counts_and_the_level_is_kept(tmp_path: Path) -> None:
    configure_logging(file=tmp_path / "first")
    configure_logging(file=tmp_path / "second", level="warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert (tmp_path / "first").read_text() == ""
    assert [line["event"] for line in lines(tmp_path / "second")] == ["loud"]


def test_files_are_bounded_and_stay_private_over_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "FILE_BYTES", 2000)
    configure_logging(file=tmp_path / "log")
    for number in range(200):
        structlog.get_logger().info("tick", number=number)
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["log", "log.1", "log.2"]
    assert sum(path.stat().st_size for path in files) < 3 * 2100
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert lines(tmp_path / "log")[-1]["number"] == 199


def test_what_is_very_long_is_cut() -> None:
    line = mask_secrets(None, "info", {"event": "x" * 50_000})
    assert len(line["event"]) < 10_100
    assert "50000 characters" in line["event"]


def test_text_that_is_no_unicode_does_not_stop_the_log(tmp_path: Path) -> None:
    configure_logging(file=tmp_path / "log")
    structlog.get_logger().info("odd", path="a\udcffb")
    assert len(lines(tmp_path / "log")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:hush@db:5432/x",
        "postgresql://:hush@/x?host=/run",
        "postgresql://me:hu@hush@db/x",
        "postgresql://me:hu/hush@db/x",
        "host=db password=hush dbname=x",
        "host=db password = 'a hush b' dbname=x",
        "PGPASSWORD=hush psql",
        "/admin/sign-in?token=hush",
        "https://s3/b?x=1&secret=hush&y=2",
        "repo1-cipher-pass=hush",
        "Authorization: Bearer hushhushhush",
    ],
)
def test_a_secret_that_its_form_betrays_is_masked(text: str) -> None:
    assert "hush" not in mask_text(text)
    assert "***" in mask_text(text)


@pytest.mark.parametrize(
    "text",
    ["http://127.0.0.1:8000/admin", "repo1 at 10:05, mail a@b.c", "keys: 3", "monkey=1 tokens left"],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize(
    "name", ["password", "db_password", "secret", "client-secret", "key", "api_key", "token", "Authorization"]
)
def test_values_of_keys_named_like_secrets_are_masked_at_any_depth(name: str) -> None:
    line = mask_secrets(None, "info", {"event": "e", "outer": [{name: "hush"}], name: {"a": "hush"}})
    assert "hush" not in json.dumps(line)


def test_keys_that_only_sound_like_secrets_stay() -> None:
    line = mask_secrets(None, "info", {"event": "e", "monkey": "a", "keyboard": "b", "tokenizer": "c"})
    assert (line["monkey"], line["keyboard"], line["tokenizer"]) == ("a", "b", "c")


_secret_text = st.text(st.characters(categories=["L", "N"]), min_size=8, max_size=20)


@given(secret=_secret_text, user=_secret_text, before=st.text(max_size=20))
def test_no_password_of_a_url_gets_through(secret: str, user: str, before: str) -> None:
    masked = mask_text(f"{before} postgresql://{user}:{secret}@db/x")
    assert f":{secret}@" not in masked


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupLost(Event):
    """An event of a test."""

    level: ClassVar[str] = "warning"
    name: str
    message: str


def test_an_event_is_one_line_with_its_values(tmp_path: Path) -> None:
    configure_logging(file=tmp_path / "log")
    observe(BackupLost(name="full", message="gone from postgresql://me:hush@db/x"))
    (line,) = lines(tmp_path / "log")
    assert (line["event"], line["level"], line["name"]) == ("backup_lost", "warning", "full")
    assert line["message"] == "gone from postgresql://me:***@db/x"


def test_a_command_says_events_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_terminal()
    observe(BackupLost(name="full", message="gone from postgresql://me:hush@db/x"))
    logging.getLogger("other").info("quiet")
    said = capsys.readouterr()
    assert (said.out, said.err) == (
        "",
        "warning: backup_lost name=full message=gone from postgresql://me:***@db/x\n",
    )
