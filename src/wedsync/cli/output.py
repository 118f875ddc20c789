"""How commands answer: results on stdout (words or JSON), words about the work on stderr, exit codes."""

import functools
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

import click

from wedsync.errors import WedsyncError
from wedsync.words import moment_words

if TYPE_CHECKING:
    import asyncio


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO = 3
    """It worked, and the answer is no."""
    FROZEN = 78
    """Today the schema does not change."""
    INTERRUPTED = 130


Answer = Callable[..., Coroutine[Any, Any, Exit | None]]


def command(
    group: click.Group,
    name: str,
    *,
    answers: bool = True,
    interrupted: str = "nothing was changed",
    needs_home: bool = True,
    serves: Callable[[Mapping[str, object]], bool] = lambda _: False,
) -> Callable[[Answer], click.Command]:
    """Make a coroutine a command of `group`, with `--home`, and with `--json` where it answers a question.

    An error becomes words on stderr (and an `error` object on stdout with `--json`) and its exit code.
    `interrupted` says after Ctrl-C what state things are in. Where the options make the process one that
    `serves` many requests, it gets the event loop for that.
    """

    def wrap(function: Answer) -> click.Command:
        @functools.wraps(function)
        def call(**options: Any) -> NoReturn:
            import asyncio

            try:
                with asyncio.Runner(loop_factory=_quick_loop if serves(options) else None) as runner:
                    status = runner.run(function(**options))
            except WedsyncError as error:
                fail(error, as_json=bool(options.get("as_json")))
            except (KeyboardInterrupt, asyncio.CancelledError):
                click.echo(f"\ninterrupted: {interrupted}", err=True)
                sys.exit(Exit.INTERRUPTED)
            except BrokenPipeError:  # whoever read our answer has seen enough
                sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - kept open until the end
                sys.exit(Exit.DONE)
            except Exception as error:
                from wedsync.app import as_problem

                problem = as_problem(error)
                if problem is None:
                    raise
                fail(problem, as_json=bool(options.get("as_json")))
            sys.exit(Exit.DONE if status is None else status)

        made: Any = call
        if answers:
            made = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")(made)
        if needs_home:
            made = click.option(
                "--home",
                "home_path",
                metavar="DIR",
                help="The platform's home; else $WEDSYNC_HOME, else ~/.wedsync.",
            )(made)
        return group.command(name)(made)

    return wrap


def _quick_loop() -> "asyncio.AbstractEventLoop":
    import uvloop

    return uvloop.new_event_loop()


def fail(error: WedsyncError, *, as_json: bool) -> NoReturn:
    """Say an error of ours and end with its exit code."""
    if as_json:
        put_json(
            {
                "error": {
                    "code": error.code,
                    "message": error.message,
                    "detail": error.detail,
                    "hint": error.hint,
                }
            }
        )
    click.echo(f"error: {error}", err=True)
    sys.exit(error.exit_code)


def put_json(value: object) -> None:
    """One JSON value on stdout; moments in ISO 8601, durations in seconds."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain), indent=2).decode())


def _plain(value: object) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


def put_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """A plain table on stdout; the column names are its head. Numbers stand to the right."""
    texts = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max([len(column), *(len(line[at]) for line in texts)]) for at, column in enumerate(columns)]
    right = [bool(rows) and all(isinstance(row.get(column), int | float) for row in rows) for column in columns]
    for line in [[column.replace("_", " ") for column in columns], *texts]:
        cells = (
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        )
        click.echo("  ".join(cells).rstrip())


def _cell(value: object) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return moment_words(value)
        case float():
            return f"{value:.1f}"
        case _:
            return str(value)


class Step:
    """A step of longer work: says on stderr what begins, and how long it took when it ends."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._note = ""
        self._started = 0.0

    def note(self, words: str) -> None:
        """What to add behind the step's words when it is done."""
        self._note = words

    def __enter__(self) -> Self:
        self._started = monotonic()
        click.echo(f"  {self._words} … ", err=True, nl=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        took = f"{monotonic() - self._started:.1f} s"
        outcome = "failed" if kind else (self._note or "done")
        click.echo(f"{outcome} ({took})", err=True)


class ProgressLine:
    """One line on stderr that is written over on a terminal; elsewhere a line every few seconds."""

    def __init__(self, *, every_s: float = 5.0) -> None:
        self._terminal = sys.stderr.isatty()
        self._every_s = 0.1 if self._terminal else every_s
        self._last = 0.0
        self._shown = False

    def show(self, words: str, *, now: bool = False) -> None:
        """Show the present state of the work; most calls are dropped, `now` is not."""
        if not now and monotonic() - self._last < self._every_s:
            return
        self._last = monotonic()
        self._shown = True
        click.echo(f"\r\033[K{words}" if self._terminal else words, err=True, nl=not self._terminal)

    def end(self) -> None:
        """Leave the line."""
        if self._shown and self._terminal:
            click.echo("", err=True)
