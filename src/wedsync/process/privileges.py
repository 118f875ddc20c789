"""Give up root: everything of the platform runs as one unprivileged user, the owner of its home.

Started as root, `step_down` finds or makes that user, hands it the home, opens the way to what it must
reach, and becomes it for good. The entry scripts use the same from the shell:

    python -m wedsync.process.privileges user                         name of the service user
    python -m wedsync.process.privileges exec --home DIR -- COMMAND…  step down, then run COMMAND
    python -m wedsync.process.privileges close DIR…                   take the ACL entries back
"""

import argparse
import contextlib
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wedsync.errors import HomeProblem, WedsyncError
from wedsync.process.acl import read_acl, write_acl

SYSTEM_USER = "wedsync"
MARKER = ".wedsync-home"
"""A file in every home that root handed over, so that one stopped half-way is known again."""

_SIGNS_OF_A_HOME = {MARKER, "wedsync.toml", "state.db"}
_HARMLESS = {"lost+found"}
_NEVER_A_HOME = {
    Path("/", name)
    for name in (
        *("", "bin", "boot", "dev", "etc", "home", "lib", "media", "mnt", "opt", "proc", "root", "run"),
        *("sbin", "srv", "sys", "tmp", "usr", "var", "var/lib", "var/log", "var/tmp", "usr/local"),
    )
}
_CHOOSE_ANOTHER = "choose a directory that is empty or not there yet, such as --home /var/lib/wedsync"
_CHOOSE_OPEN = "use places below directories that are open to all: --home /var/lib/wedsync, and a checkout in /opt"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUser:
    """The operating system's user that owns a home and runs everything in it."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppedDown:
    """What `step_down` did, for the operator to be told."""

    user: ServiceUser
    user_was_made: bool
    home_was_handed_over: bool
    opened: tuple[Path, ...]
    """Directories that the user may now pass through, by an ACL entry."""

    def sentences(self) -> list[str]:
        """What changed on this machine; empty when nothing had to."""
        said: list[str] = []
        if self.user_was_made:
            said.append(f"made the system user {self.user.name}")
        if self.home_was_handed_over:
            said.append(f"gave the home to {self.user.name}")
        said += [f"let {self.user.name} pass through {path} (an ACL entry)" for path in self.opened]
        return said


def step_down(home: Path, *, needs: Sequence[Path] = ()) -> SteppedDown | None:
    """Become the service user of `home` for good; `None` if this process is not root.

    The user is the owner of an existing home, else the system user `wedsync`, made when missing. It gets
    search permission on each closed directory above `home`, above the paths in `needs` and above what this
    interpreter runs from; nothing outside the home changes its owner. `HOME`, `USER`, `LOGNAME` and
    `WEDSYNC_HOME` of this process follow, and the working directory if it is out of reach. Raises
    `HomeProblem` if `home` is no home of ours, or something stays out of reach.
    """
    if os.geteuid() != 0:
        return None
    home = Path(os.path.realpath(home))
    _refuse_what_is_no_home(home)
    user, user_was_made = _user_of(home)
    home_was_handed_over = _hand_over(home, user)
    opened = [directory for path in (home, *needs, *_running_from()) for directory in _open_the_way(path, user)]
    _become(user, home)
    return SteppedDown(
        user=user,
        user_was_made=user_was_made,
        home_was_handed_over=home_was_handed_over,
        opened=tuple(opened),
    )


def service_user() -> tuple[ServiceUser, bool]:
    """The system user `wedsync`, made when missing, and whether it was. Needs root."""
    with contextlib.suppress(KeyError):
        return _named(pwd.getpwnam(SYSTEM_USER)), False
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        raise HomeProblem(
            f"the system user {SYSTEM_USER} is missing and there is no useradd to make it with",
            hint=f"make a system user {SYSTEM_USER}, or run this as an unprivileged user",
        )
    options = ("--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent")
    made = subprocess.run(
        [useradd, *options, "--shell", "/usr/sbin/nologin", SYSTEM_USER],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise HomeProblem(f"the system user {SYSTEM_USER} could not be made", detail=made.stderr.strip())
    return _named(pwd.getpwnam(SYSTEM_USER)), True


def _named(entry: pwd.struct_passwd) -> ServiceUser:
    return ServiceUser(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def _running_from() -> tuple[Path, ...]:
    """What a process like this one has to read: our package, its environment and its interpreter."""
    return (Path(__file__).parent.parent, Path(sys.prefix), Path(sys.executable), Path(sys.base_prefix))


def _refuse_what_is_no_home(home: Path) -> None:
    """Only a directory that is new, empty or a home already is taken, because its owner changes."""
    if home in _NEVER_A_HOME:
        raise HomeProblem(f"{home} cannot be a home: it belongs to the system", hint=_CHOOSE_ANOTHER)
    try:
        entries = {entry.name for entry in os.scandir(home)} - _HARMLESS
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise HomeProblem(f"{home} is not a directory", hint=_CHOOSE_ANOTHER) from error
    if entries and not entries & _SIGNS_OF_A_HOME:
        raise HomeProblem(
            f"{home} is in use for something else",
            detail=f"{len(entries)} entries, but none of {', '.join(sorted(_SIGNS_OF_A_HOME))}",
            hint=_CHOOSE_ANOTHER,
        )


def _user_of(home: Path) -> tuple[ServiceUser, bool]:
    owner = home.stat().st_uid if home.exists() else 0
    if owner == 0:
        return service_user()
    try:
        return _named(pwd.getpwuid(owner)), False
    except KeyError as error:
        raise HomeProblem(
            f"{home} belongs to user number {owner}, which this machine does not know",
            hint=f"make that user, or give the directory to root: chown root {home}",
        ) from error


def _hand_over(home: Path, user: ServiceUser) -> bool:
    """Make the home, or give one of root's to `user`; whether anything changed.

    The directory itself changes its owner last, so that a hand-over that was interrupted is done again.
    Links are given as links, never followed.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if home.stat().st_uid == user.uid:
            return False
        os.close(os.open(home / MARKER, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        for _, directories, files, folder in os.fwalk(home):
            for name in (*directories, *files):
                os.chown(name, user.uid, user.gid, dir_fd=folder, follow_symlinks=False)
        home.chmod(0o700)
        os.chown(home, user.uid, user.gid)
    except OSError as error:
        raise HomeProblem(
            f"{home} cannot be made a home of {user.name}", detail=str(error), hint=_CHOOSE_ANOTHER
        ) from error
    return True


def _open_the_way(path: Path, user: ServiceUser) -> list[Path]:
    """Let `user` reach `path`, by search permission on each directory above it that is closed to them."""
    opened: list[Path] = []
    for spelling in dict.fromkeys((path.absolute(), Path(os.path.realpath(path)))):
        for directory in reversed(spelling.parents):
            if not _may_enter(user, directory):
                _grant_search(directory, user)
                opened.append(directory)
    if not _may_read(user, path):
        raise HomeProblem(
            f"{user.name}, who runs the platform, may not read {path}", hint=f"chmod -R go+rX {path}"
        )
    return opened


def _grant_search(directory: Path, user: ServiceUser) -> None:
    try:
        write_acl(directory, read_acl(directory).with_search(user.uid))
    except OSError as error:
        raise HomeProblem(
            f"{user.name}, who runs the platform, may not pass through {directory}",
            detail=f"an ACL entry for them was refused: {error.strerror}",
            hint=f"{_CHOOSE_OPEN}; or open this one: chmod o+x {directory}",
        ) from error
    if not _may_enter(user, directory):
        raise HomeProblem(
            f"{user.name}, who runs the platform, may not pass through {directory}",
            detail="an ACL entry for them was written, but the file system does not keep to it",
            hint=_CHOOSE_OPEN,
        )


@contextlib.contextmanager
def _acting_as(user: ServiceUser) -> Generator[None]:
    """For a moment, let the kernel judge file access by another user's rights. Not for two threads."""
    groups, gid = os.getgroups(), os.getegid()
    os.initgroups(user.name, user.gid)
    os.setegid(user.gid)
    os.seteuid(user.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def _may_enter(user: ServiceUser, directory: Path) -> bool:
    with _acting_as(user):
        try:
            os.stat(f"{directory}/.")  # noqa: PTH116 - a Path drops the dot, which asks for the search right
        except PermissionError:
            return False
    return True


def _may_read(user: ServiceUser, path: Path) -> bool:
    with _acting_as(user):
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except PermissionError:
            return False
    return not path.is_dir() or _may_enter(user, path)


def _become(user: ServiceUser, home: Path) -> None:
    """Change into `user` with no way back: real, effective and saved ids, and the groups."""
    os.initgroups(user.name, user.gid)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    os.environ.update(HOME=str(home), USER=user.name, LOGNAME=user.name, WEDSYNC_HOME=str(home))
    temporary = os.environ.get("TMPDIR")
    if temporary and not os.access(temporary, os.W_OK | os.X_OK):
        del os.environ["TMPDIR"]  # root's own; the system's /tmp then
    if not os.access(".", os.X_OK):
        os.chdir(home)


def main(arguments: Sequence[str] | None = None) -> None:
    """The commands named at the top of this module."""
    parser = argparse.ArgumentParser(prog="python -m wedsync.process.privileges")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("user", help="print the service user's name; made if missing")
    execute = commands.add_parser("exec", help="step down, then run a program")
    execute.add_argument("--home", type=Path, required=True)
    execute.add_argument("--needs", type=Path, action="append", default=[], help="a path it has to reach")
    execute.add_argument("program", nargs="+")
    close = commands.add_parser("close", help="take the service user's ACL entries off directories")
    close.add_argument("directories", type=Path, nargs="+")
    given = parser.parse_args(arguments)
    try:
        match given.command:
            case "user":
                sys.stdout.write(f"{service_user()[0].name}\n")
            case "exec":
                step_down(given.home, needs=given.needs)
                os.execvp(given.program[0], given.program)  # noqa: S606 - the whole purpose
            case _:
                uid = pwd.getpwnam(SYSTEM_USER).pw_uid
                for directory in given.directories:
                    write_acl(directory, read_acl(directory).without(uid))
    except WedsyncError as error:
        sys.exit(f"wedsync: {error}")


if __name__ == "__main__":
    main()
