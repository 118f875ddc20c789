"""`kit`: what a machine takes with it when it is lost, besides the data."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wedsync.cli.context import enter_home, open_platform
from wedsync.cli.output import Exit, command, put_json
from wedsync.errors import RescueKitProblem, WedsyncError

if TYPE_CHECKING:
    from wedsync.app import KitDifference, Platform, RescueKit

_PASSPHRASE_FILE = click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Its first line is the passphrase; else it is asked for.",
)


def register(main: click.Group) -> None:
    """Add the commands of this module."""

    @main.group()
    def kit() -> None:
        """The rescue kit: configuration and keys of a home, sealed with a passphrase.

        With it and a repository, `bin/up --rescue KIT` makes a lost machine again.
        """

    @_PASSPHRASE_FILE
    async def make(*, home_path: str | None, passphrase_file: str | None) -> Exit:
        """Write the kit of this home to stdout; keep it, and its passphrase, away from this machine.

        \b
        Example: wedsync kit make > /media/usb/wedsync-kit.txt
        """
        from wedsync.app import gather_kit, seal_kit

        passphrase = _passphrase(passphrase_file, again=True)
        platform = open_platform(home_path)
        made = gather_kit(platform.home, at=platform.clock.now())
        click.echo(seal_kit(made, passphrase), nl=False)
        click.echo(f"{len(made.secrets)} keys and the configuration are in it", err=True)
        for words in [*_left_behind(platform), *await _empty(platform)]:
            click.echo(f"note: {words}", err=True)
        return Exit.DONE

    @click.argument("file", type=click.Path(exists=True, dir_okay=False))
    @_PASSPHRASE_FILE
    async def check(*, home_path: str | None, as_json: bool, file: str, passphrase_file: str | None) -> Exit:
        """Open a kit and say whether it would still make this home.

        Exit code 0 when it would, 3 when keys or configuration have changed since.

        \b
        Example: wedsync kit check /media/usb/wedsync-kit.txt
        """
        from wedsync.app import compare_kit

        opened = read_kit(file, passphrase_file)
        found = compare_kit(opened, open_platform(home_path).home)
        if as_json:
            put_json(
                {
                    "fits": found.fits,
                    "made_at": opened.made_at,
                    "missing": found.missing,
                    "changed": found.changed,
                    "gone": found.gone,
                }
            )
            return Exit.DONE if found.fits else Exit.NO
        click.echo(f"made {opened.made_at:%Y-%m-%d %H:%M} UTC, {len(opened.secrets)} keys")
        for what, names in (("not in it", found.missing), ("changed since", found.changed), ("gone", found.gone)):
            if names:
                click.echo(f"{what}: {', '.join(names)}")
        click.echo(_verdict(found))
        return Exit.DONE if found.fits else Exit.NO

    @click.argument("file", type=click.Path(exists=True, dir_okay=False))
    @click.option("--replace", is_flag=True, help="Also keys that differ; the present ones are kept beside them.")
    @_PASSPHRASE_FILE
    async def put_back(
        *, home_path: str | None, as_json: bool, file: str, replace: bool, passphrase_file: str | None
    ) -> Exit:
        """Write the keys of a kit that this home has lost.

        Exit code 3 when there was nothing to put back.

        \b
        Example: wedsync kit put-back /media/usb/wedsync-kit.txt
        """
        from wedsync.app import compare_kit, put_back_secrets

        opened = read_kit(file, passphrase_file)
        platform = open_platform(home_path)
        written = put_back_secrets(opened, platform.home, replace=replace, at=platform.clock.now())
        left = [name for name in compare_kit(opened, platform.home).changed if name.startswith("secrets/")]
        if any(name.startswith("repo") for name in written):
            platform.pgbackrest.write_config()
        if as_json:
            put_json({"put_back": written, "differ": left})
            return Exit.DONE if written else Exit.NO
        click.echo(f"put back: {', '.join(written)}" if written else "nothing was missing")
        if left:
            click.echo(f"left as they are, though the kit's differ: {', '.join(left)} (--replace)")
        return Exit.DONE if written else Exit.NO

    @click.argument("file", type=click.Path(exists=True, dir_okay=False))
    @_PASSPHRASE_FILE
    async def unpack(*, home_path: str | None, file: str, passphrase_file: str | None) -> Exit:
        """Make a home of a kit, with configuration and keys and nothing else; start nothing.

        For what has to be done before `bin/up --rescue`, such as bringing a repository back.

        \b
        Example: wedsync kit unpack /media/usb/wedsync-kit.txt
        """
        from wedsync.app import close_home, unpack_kit

        opened = read_kit(file, passphrase_file)  # while still root
        home = enter_home(home_path)
        unpack_kit(opened, home)
        close_home(home)
        click.echo(f"the kit of {opened.made_at:%Y-%m-%d %H:%M} UTC is in place")
        return Exit.DONE

    command(kit, "make", answers=False)(make)
    command(kit, "unpack", answers=False)(unpack)
    command(kit, "put-back")(put_back)
    command(kit, "check")(check)


def read_kit(file: str, passphrase_file: str | None) -> "RescueKit":
    """The kit in a file, opened with the passphrase of another file or of whoever sits there."""
    from wedsync.app import unseal_kit

    text = Path(file).read_text(encoding="utf-8", errors="replace")
    return unseal_kit(text, _passphrase(passphrase_file, again=False))


def _passphrase(file: str | None, *, again: bool) -> str:
    if file is not None:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
        return lines[0] if lines else ""
    if not sys.stdin.isatty():
        raise RescueKitProblem("nobody is there to ask for the passphrase", hint="--passphrase-file FILE")
    asked: str = click.prompt("passphrase", hide_input=True, confirmation_prompt=again, err=True)
    return asked


def _left_behind(platform: "Platform") -> list[str]:
    """Repositories that go with the machine."""
    from wedsync.backup import repositories
    from wedsync.config import RepositoryKind

    inside = [
        number
        for number, repository in repositories(platform.config.backup).items()
        if repository.kind is RepositoryKind.PATH
        and platform.home.resolve(repository.path).is_relative_to(platform.home.root)
    ]
    found = [f"repo{number} lies in the home: it goes with this machine" for number in inside]
    if len(inside) == len(repositories(platform.config.backup)):
        found.append("no repository would be left: keep a second region (docs/how-to/second-region.md)")
    outside = [item.name for item in platform.loaded.settings if item.origin.startswith("WEDSYNC_")]
    if outside:
        found.append(f"not in it, for they come from the environment: {', '.join(outside)}")
    return found


async def _empty(platform: "Platform") -> list[str]:
    """Repositories that hold nothing to begin with, as one that was configured a moment ago."""
    from wedsync.app import configuration_changed_at
    from wedsync.backup import repositories

    if configuration_changed_at(platform.home) is not None:
        return ["what runs does not know this wedsync.toml: nothing is in repositories that are new in it"]

    try:
        survey = await platform.surveyor.survey()
    except WedsyncError as error:
        return [f"nobody looked into the repositories: {error.in_one_line()}"]
    filled = {backup.repo for backup in survey.catalogue.backups}
    return [
        f"repo{number} holds no backup that can be read: the kit brings nothing back from it (wedsync status)"
        for number in repositories(platform.config.backup)
        if number not in filled
    ]


def _verdict(found: "KitDifference") -> str:
    """What to do with a kit. Where it has keys that the home has not, a new one would lose them."""
    keys = [name for name in (*found.gone, *found.changed) if name.startswith("secrets/")]
    if keys:
        return (
            "keep this kit: it may be the only place of these keys; wedsync kit put-back writes what is gone, with"
            " --replace what was changed\nmake a new one only if the home's keys are right: wedsync kit make"
        )
    return "it makes this home" if found.fits else "make a new one: wedsync kit make"
