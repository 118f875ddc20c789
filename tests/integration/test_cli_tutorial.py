"""The tutorial, step by step, as it is written; only the time it takes is shortened."""

import json
import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from support.commands import PYTHON, WITHIN, CommandLine, command_line
from wedsync.process import Finished, run

TUTORIAL = Path(__file__).parents[2] / "docs/tutorial/first-recovery.md"
A_MOMENT = "2026-06-14 11:05:30+01:00"
SHORTER = {"--for 60 --rate 50": "--for 6 --rate 50", "tail -n 1500": "tail -n 150"}


def steps() -> list[str]:
    """The indented lines, in order."""
    return [line.strip() for line in TUTORIAL.read_text().splitlines() if line.startswith("    ")]


@pytest.fixture
async def checkout(tmp_path: Path, engine: object) -> AsyncIterator[CommandLine]:
    """A directory with `bin/up` and `bin/wedsync`, whose user has the home `~/.wedsync`."""
    async with command_line(tmp_path / "place", configured=True) as made:
        programs = made.home.root.parent / "bin"
        programs.mkdir()
        for name, words in (("up", [*PYTHON, "up"]), ("wedsync", [*PYTHON])):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec {" ".join(words)} "$@"\n')
            program.chmod(0o755)
        (made.home.root.parent / ".wedsync").symlink_to(made.home.root)
        yield made


async def step(checkout: CommandLine, line: str) -> Finished:
    """One command, as an operator would give it."""

    return await run(
        ["/bin/sh", "-c", line], deadline=WITHIN, env=checkout.environment, cwd=checkout.home.root.parent
    )


async def test_the_tutorial_works_as_it_is_written(checkout: CommandLine) -> None:
    moment = A_MOMENT
    done: dict[str, Finished] = {}
    for line in steps():
        shorter = line
        for long, short in SHORTER.items():
            shorter = shorter.replace(long, short)
        ended = done[line] = await step(checkout, shorter.replace(A_MOMENT, moment))
        broken = line == "bin/wedsync status" and ended.exit_status == 3
        assert ended.exit_status == 0 or broken, f"{line}\n{ended.stdout}\n{ended.stderr}"
        if line.startswith("tail"):
            moment = json.loads(ended.stdout)["acknowledged_at"]
            db_url = (await checkout.json("keys"))["db_url"]
        if line.startswith("rm -rf"):
            answer = await checkout.json("status", code=3)
            assert answer["state"] in {"down", "critical"}
            assert "recover run" in answer["sentence"]
        if "recover run --to" in line:
            await check_ledger(checkout, db_url, datetime.fromisoformat(moment))
    assert f"http://127.0.0.1:{checkout.port}/admin/sign-in?token=" in done["bin/up --detach"].stdout
    assert re.search(r"newest commit \d{4}-", done[steps()[2]].stdout)
    assert done["bin/wedsync down"].stdout.startswith("stopped: ")
    assert checkout.pid("postgresql") is None


async def check_ledger(checkout: CommandLine, db_url: str, moment: datetime) -> None:
    """Every commit acknowledged before the moment is there, none begun after it."""
    lines = (checkout.home.root.parent / "commits.txt").read_text().splitlines()
    commits = [entry for entry in map(json.loads, lines) if entry["outcome"] == "committed"]
    before = {entry["seq"] for entry in commits if datetime.fromisoformat(entry["acknowledged_at"]) < moment}
    after = {entry["seq"] for entry in commits if datetime.fromisoformat(entry["committed_at"]) > moment}
    async with await psycopg.AsyncConnection.connect(db_url) as connection:
        rows = await (await connection.execute("select seq from ops.demo_commits")).fetchall()
    there = {row[0] for row in rows}
    assert before
    assert after
    assert before <= there
    assert not after & there
