"""Runbooks of docs/how-to, followed as they are written: each block of shell is run, what it shows is compared.

In a runbook (it ends with the line `MARK`)

- a fenced block `sh` is a step; it must end with 0, or with the number behind `sh exit=`;
- a fenced block `text` right behind it is what the operator sees: each line must come, in this order, and `…`
  stands for anything;
- a line `name=value # yours` is where the operator puts in a value of their own: so does the test;
- steps stand under `## ` headings, and a test follows one heading at a time, for what happens in between.

Variables of one step are there in the next. `wedsync` and `bin/up` are those of this checkout.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from wedsync.process import run

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
MARK = "<!-- followed by tests/integration/test_runbooks.py -->"
_FENCE = re.compile(r"^```(?P<info>.*)$")
_YOURS = re.compile(r"^(?P<name>[a-z_]+)=.*# yours$")
_WITHIN = timedelta(minutes=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookStep:
    """One block of shell; `shows` are the lines the operator is told to look for."""

    heading: str
    line: int
    commands: str
    exit_status: int
    shows: tuple[str, ...] = ()


def read_runbook(name: str) -> list[RunbookStep]:
    """The steps of `docs/how-to/<name>.md`, in order."""
    steps: list[RunbookStep] = []
    heading, info, block, began = "", None, list[str](), 0
    for number, line in enumerate((HOW_TO / f"{name}.md").read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence is None:
            if info is not None:
                block.append(line)
            elif line.startswith("## "):
                heading = line.removeprefix("## ").strip()
            continue
        if info is None:
            info, block, began = fence["info"].strip(), [], number
            continue
        kind, _, options = info.partition(" ")
        if kind == "sh":
            status = int(options.removeprefix("exit=")) if options else 0
            steps.append(RunbookStep(heading=heading, line=began, commands="\n".join(block), exit_status=status))
        elif kind == "text":
            assert steps and not steps[-1].shows, f"{name}.md:{began}: what is shown stands behind no step"
            last = steps.pop()
            steps.append(
                RunbookStep(
                    heading=last.heading,
                    line=last.line,
                    commands=last.commands,
                    exit_status=last.exit_status,
                    shows=tuple(text.strip() for text in block if text.strip()),
                )
            )
        info = None
    assert steps, f"{name}.md has no step"
    return steps


@dataclass(kw_only=True)
class Runbook:
    """A runbook that an operator follows on one home."""

    name: str
    place: Path
    """Where the operator sits: a directory of the test's own."""
    environment: Mapping[str, str]
    yours: dict[str, str] = field(default_factory=dict[str, str])
    """What the operator puts in."""
    seen: list[str] = field(default_factory=list[str])
    """All that was shown."""

    def __post_init__(self) -> None:
        self._steps = read_runbook(self.name)
        programs = self.place / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        call = f'exec "{sys.executable}" -P -m wedsync'
        for name, words in (("wedsync", f'{call} "$@"'), ("up", f'{call} up "$@"')):
            (programs / name).write_text(f"#!/bin/sh\n{words}\n")
            (programs / name).chmod(0o755)

    @property
    def headings(self) -> list[str]:
        """The headings that have steps."""
        return list(dict.fromkeys(step.heading for step in self._steps))

    async def follow(self, heading: str) -> None:
        """Do all that stands under a heading."""
        steps = [step for step in self._steps if step.heading == heading]
        assert steps, f"{self.name}.md has no step under {heading!r}: {self.headings}"
        for step in steps:
            await self._do(step)

    async def _do(self, step: RunbookStep) -> None:
        variables = self.place / "variables"
        variables.touch()
        commands = "\n".join(self._filled(line, step) for line in step.commands.splitlines())
        script = f"exec 2>&1\nset -eua\n. {variables}\n{commands}\nexport -p >{variables}\n"
        path = f"{self.place / 'bin'}:{self.environment.get('PATH', '/usr/bin:/bin')}"
        done = await run(
            ["sh", "-c", script], deadline=_WITHIN, env={**self.environment, "PATH": path}, cwd=self.place
        )
        said = done.stdout
        self.seen.append(said)
        where = f"{self.name}.md:{step.line}\n{commands}\n-> {done.exit_status}\n{said}"
        assert done.exit_status == step.exit_status, where
        assert "Traceback" not in said, where
        at = 0
        for shown in step.shows:
            pattern = ".*".join(re.escape(part.strip()) for part in shown.split("…"))
            found = re.search(pattern, said[at:])
            assert found is not None, f"it does not show, in this order: {shown}\n{where}"
            at += found.end()

    def _filled(self, line: str, step: RunbookStep) -> str:
        yours = _YOURS.match(line.strip())
        if yours is None:
            return line
        assert yours["name"] in self.yours, f"{self.name}.md:{step.line}: the test has no {yours['name']}"
        value = self.yours[yours["name"]].replace("'", "'\\''")
        return f"{yours['name']}='{value}'"
