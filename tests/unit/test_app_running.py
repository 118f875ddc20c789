"""Whether what runs knows the configuration that stands in the file."""

from pathlib import Path

import pytest

from wedsync.app.running import configuration_changed_at, note_configuration
from wedsync.config import Home

BEGUN = '# repositories\n[backup.repo2]\npath = "repo2"\n[cluster]\nport = 54329\n'


@pytest.fixture
def running(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.run.mkdir()
    home.config_file.write_text(BEGUN)
    note_configuration(home)
    return home


@pytest.mark.parametrize("text", [BEGUN, '[cluster]\nport = 54_329 # as before\n[backup.repo2]\npath = "repo2"\n'])
def test_a_file_that_says_the_same_needs_no_restart(running: Home, text: str) -> None:
    running.config_file.write_text(text)
    assert configuration_changed_at(running) is None


@pytest.mark.parametrize("text", [BEGUN.replace('repo2"', '/mnt/far"'), "", "[backup.repo2"])
def test_a_file_that_says_something_else_was_changed_after_the_start(running: Home, text: str) -> None:
    running.config_file.write_text(text)
    changed_at = configuration_changed_at(running)
    assert changed_at is not None
    assert changed_at.timestamp() == pytest.approx(running.config_file.stat().st_mtime)


def test_of_a_home_that_was_never_started_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "wedsync.toml").write_text(BEGUN)
    assert configuration_changed_at(Home(tmp_path)) is None
