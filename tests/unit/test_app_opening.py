"""What is done to a home when it is opened."""

import os
from collections.abc import Iterator

import pytest

from wedsync.app import Platform, close_home
from wedsync.cli.context import enter_home
from wedsync.config import Home
from wedsync.process import spawn_detached, wait_for_exit


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The caller lets everybody read what it writes."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(home: Home, name: str) -> int:
    return (home.root / name).stat().st_mode & 0o777


@pytest.mark.skipif(os.geteuid() == 0, reason="root becomes the home's owner here")
async def test_what_is_written_in_a_home_is_for_its_owner_only(home: Home, open_umask: None) -> None:
    assert enter_home(str(home.root)).root == home.root
    await wait_for_exit(spawn_detached(["true"], log=home.log / "keeper.out"))
    assert (mode(home, "log"), mode(home, "log/keeper.out")) == (0o700, 0o600)


def test_a_home_that_others_can_look_into_is_closed(home: Home) -> None:
    home.root.chmod(0o755)
    close_home(home)
    assert mode(home, ".") == 0o700
    close_home(home)
    assert mode(home, ".") == 0o700


class CountedWrites:
    """A backup engine that counts how often its configuration is written."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.count = 0

    def write_config(self) -> None:
        self.count += 1
        self.home.pgbackrest_config.touch()


def test_only_what_changes_something_writes_the_backup_engines_configuration_anew(home: Home) -> None:
    platform = Platform(home, {})
    writes = CountedWrites(home)
    platform.__dict__["pgbackrest"] = writes  # the place of the cached property
    platform.require_backups("window")
    assert writes.count == 1
    platform.require_backups("window")
    assert writes.count == 1
    platform.require_backups("backup", changes=True)
    assert writes.count == 2
