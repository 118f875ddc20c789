"""The command line itself: help, usage errors, start-up, where words go. No home is needed."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from wedsync.cli import main
from wedsync.cli.output import ProgressLine, Step, command, put_json, put_table
from wedsync.errors import DiskFull, StateProblem, UsageProblem

SOURCE = Path(__file__).parents[2] / "src"
HEAVY = {"asyncio", "cryptography", "httptools", "jinja2", "jwt", "msgspec", "psycopg", "starlette", "structlog"}


Words = tuple[str, ...]


def commands(group: click.Group = main, path: Words = ()) -> Iterator[tuple[Words, click.Command]]:
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from commands(found, (*path, name))
        elif not found.hidden:
            yield (*path, name), found


ALL = dict(commands())


def test_the_commands_that_scripts_rely_on_are_there() -> None:
    promised = (
        "up, down, status, doctor, keys, config show, migrate status, migrate up, migrate plan, migrate new,"
        " backup run, backup list, backup verify, backup expire, backup hold, recover window, recover plan,"
        " recover run, demo load, demo live"
    )
    assert {tuple(words.split()) for words in promised.split(",")} <= set(ALL)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_opens_with_a_sentence_and_shows_an_example(path: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(main, [*path, "--help"])
    assert answer.exit_code == 0
    usage, sentence, *_ = [line.strip() for line in answer.output.split("\n\n")]
    assert usage.startswith("Usage:")
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert f"wedsync {' '.join(path)}" in answer.output.partition("Example:")[2]
    assert "--home DIR" in answer.output or path in {("gateway",), ("receive-wal",)}  # theirs has none
    assert "--json" in answer.output or path in {
        ("up",),
        ("gateway",),
        ("receive-wal",),
        ("kit", "make"),
        ("kit", "unpack"),
    }


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_an_unknown_option_is_wrong_usage(path: tuple[str, ...]) -> None:
    assert CliRunner().invoke(main, [*path, "--no-such-option"]).exit_code == 2


def test_help_imports_nothing_heavy() -> None:
    script = "import sys; from wedsync.cli import main; print(*{name.partition('.')[0] for name in sys.modules})"
    told = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True
    )
    assert set(told.stdout.split()) & HEAVY == set()


def test_commands_that_only_look_load_no_logger_and_no_web_framework() -> None:
    script = "import sys, wedsync.app; print(*{name.partition('.')[0] for name in sys.modules})"
    told = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True
    )
    assert (
        set(told.stdout.split()) & {"cryptography", "jinja2", "jwt", "starlette", "structlog", "uvicorn"} == set()
    )


def group_with(error: BaseException | None) -> click.Group:
    """A command line of one command that ends with `error`."""
    group = click.Group()

    async def act(*, home_path: str | None, as_json: bool) -> None:
        await asyncio.sleep(0)
        if error is not None:
            raise error

    command(group, "act", interrupted="half of it is done")(act)
    return group


@pytest.mark.parametrize(
    ("error", "exit_code", "code"),
    [
        (UsageProblem("wrong", hint="do right"), 2, "WS001"),
        (DiskFull("full"), 1, "WS209"),
        (OSError(28, "No space left on device", "/x"), 1, "WS209"),
        (PermissionError(13, "Permission denied", "/x"), 1, "WS102"),
        (ExceptionGroup("two", [StateProblem("bad"), OSError(28, "full")]), 1, "WS107"),
    ],
)
def test_an_error_has_its_exit_code_and_is_told_in_json_too(error: Exception, exit_code: int, code: str) -> None:
    words = CliRunner().invoke(group_with(error), ["act"])
    assert (words.exit_code, words.stdout) == (exit_code, "")
    assert words.stderr.startswith("error: ")
    assert f"[{code}]" in words.stderr
    answer = CliRunner().invoke(group_with(error), ["act", "--json"])
    told = json.loads(answer.stdout)["error"]
    assert (answer.exit_code, told["code"]) == (exit_code, code)
    assert set(told) == {"code", "message", "detail", "hint"}


def test_a_mistake_in_the_program_is_not_hidden() -> None:
    ended = CliRunner().invoke(group_with(KeyError("oops")), ["act"])
    assert isinstance(ended.exception, KeyError)


def test_ctrl_c_ends_with_130_and_says_what_state_things_are_in() -> None:
    ended = CliRunner().invoke(group_with(KeyboardInterrupt()), ["act"])
    assert (ended.exit_code, ended.stdout) == (130, "")
    assert ended.stderr.strip() == "interrupted: half of it is done"


def test_results_go_to_stdout_and_words_about_the_work_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with Step("count") as step:
        step.note("three")
    line = ProgressLine(every_s=0)
    line.show("half")
    line.end()
    put_json({"a": 1})
    put_table([{"name": "x", "bytes": 10}, {"name": "long", "bytes": 5}], ["name", "bytes"])
    said = capsys.readouterr()
    assert said.err.splitlines()[0].startswith("  count … three (")
    assert said.err.splitlines()[1] == "half"
    assert said.out.splitlines() == ["{", '  "a": 1', "}", "name  bytes", "x        10", "long      5"]


def test_a_step_that_fails_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DiskFull), Step("copy"):
        raise DiskFull("full")
    assert "copy … failed (" in capsys.readouterr().err
