"""From the words of a call to the platform of a home."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from wedsync.errors import HomeProblem

if TYPE_CHECKING:
    from wedsync.app import Platform
    from wedsync.config import Home


def enter_home(home_path: str | None) -> "Home":
    """The home to work on, as its owner: a process of root becomes the service user here.

    Variables of libpq (`PGHOST`, `PGPASSWORD` …) are forgotten: what is connected to is said by the home.
    What is written from here on is for its owner only, whatever the umask of the caller was.
    """
    from wedsync.config import default_home

    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    home = default_home(home_path, os.environ)
    if os.geteuid() == 0:
        from wedsync.process.privileges import step_down  # root only

        done = step_down(home.root)
        for sentence in done.sentences() if done else []:
            click.echo(f"  {sentence}", err=True)
    os.umask(0o077)
    return home


def open_platform(home_path: str | None, flags: Mapping[str, object] | None = None) -> "Platform":
    """The platform of a home that was set up. Raises `HomeProblem` if there is none."""
    from wedsync.config import default_home

    home = default_home(home_path, os.environ)
    if not is_home(home) and "WEDSYNC_PROFILE" not in os.environ:
        raise HomeProblem(
            f"there is no home at {home.root}",
            detail=f"it has no {home.config_file.name}",
            hint="bin/up makes one; another one is named by --home or WEDSYNC_HOME",
        )
    who = operator()
    home = enter_home(home_path)
    from wedsync.app import Platform, this_environment  # after root was given up
    from wedsync.log import log_to_terminal

    log_to_terminal()
    return Platform(home, this_environment(), flags=flags, operator=who)


def is_home(home: "Home") -> bool:
    """Whether there is a configuration file; `HomeProblem` if that is another user's to know."""
    try:
        return home.config_file.exists()
    except PermissionError as error:
        raise HomeProblem(
            f"{home.root} belongs to another user",
            detail=str(error),
            hint="run this as that user, or as root, who becomes that user",
        ) from error


def operator() -> str:
    """Who gives the command, asked before root is given up: the person behind sudo if there is one."""
    return os.environ.get("SUDO_USER") or os.environ.get("USER") or f"uid {os.getuid()}"
