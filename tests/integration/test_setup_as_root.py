"""Giving up root, tried as root; `.ci/run` starts these before `bin/test`, which has given it up already."""

import json
import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wedsync.process.acl import Acl, Tag, read_acl, write_acl
from wedsync.process.privileges import MARKER, service_user

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root")

STEP_DOWN = """
import json, os, sys
from pathlib import Path
from wedsync.process.privileges import step_down
done = step_down(Path(sys.argv[1]), needs=[Path(path) for path in sys.argv[2:]])
def regains_root():
    try:
        os.setresuid(0, 0, 0)
    except PermissionError:
        return False
    return True
print(json.dumps({
    "ids": os.getresuid() + os.getresgid(), "groups": os.getgroups(), "regains_root": regains_root(),
    "environment": dict(os.environ), "cwd": os.getcwd(), "said": done.sentences(),
    "opened": [str(path) for path in done.opened], "handed_over": done.home_was_handed_over,
    "read": [Path(path).read_text() for path in sys.argv[2:]],
}))
"""


def step_down(home: Path, *needs: Path, cwd: Path | None = None, **environment: str) -> Any:
    """Step down in a process of its own; what it saw afterwards."""
    done = _try(home, *needs, cwd=cwd, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refusal(home: Path, *needs: Path) -> str:
    """Step down in a process of its own, which must refuse; what it said."""
    done = _try(home, *needs)
    assert done.returncode != 0
    assert "HomeProblem" in done.stderr, done.stderr
    return done.stderr


def _try(
    home: Path, *needs: Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", STEP_DOWN, str(home), *map(str, needs)],
        env=dict(os.environ) | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A directory that only root may enter, like /root."""
    directory = tmp_path / "closed"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def wedsync() -> pwd.struct_passwd:
    """The service user of a home that is new."""
    return pwd.getpwnam(service_user()[0].name)


def test_a_new_home_is_made_for_the_system_user(closed: Path, wedsync: pwd.struct_passwd) -> None:
    home = closed / "home"
    seen = step_down(home)
    assert (home.stat().st_uid, home.stat().st_gid) == (wedsync.pw_uid, wedsync.pw_gid)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert seen["ids"] == [wedsync.pw_uid] * 3 + [wedsync.pw_gid] * 3
    assert 0 not in seen["groups"]


def test_there_is_no_way_back_to_root(closed: Path) -> None:
    assert step_down(closed / "home")["regains_root"] is False


def test_the_environment_follows(closed: Path, wedsync: pwd.struct_passwd) -> None:
    home = closed / "home"
    seen = step_down(home, TMPDIR=str(closed))["environment"]
    assert seen["HOME"] == seen["WEDSYNC_HOME"] == str(home)
    assert seen["USER"] == seen["LOGNAME"] == wedsync.pw_name
    assert "TMPDIR" not in seen  # the service user cannot write there


def test_only_the_closed_directories_on_the_way_are_opened_and_only_to_pass(closed: Path) -> None:
    seen = step_down(closed / "home")
    assert str(closed) in seen["opened"]
    assert "/" not in seen["opened"]
    assert read_acl(closed).effective(Tag.USER, seen["ids"][0]) == 1
    assert closed.stat().st_uid == 0


def test_a_second_start_changes_nothing(closed: Path) -> None:
    step_down(closed / "home")
    assert step_down(closed / "home")["said"] == []


def test_a_needed_file_behind_a_closed_directory_can_be_read(closed: Path, tmp_path: Path) -> None:
    (closed / "needed").write_text("here")
    assert step_down(tmp_path / "home", closed / "needed")["read"] == ["here"]


def test_a_needed_file_behind_a_link_can_be_read(closed: Path, tmp_path: Path) -> None:
    (closed / "needed").write_text("here")
    (tmp_path / "link").symlink_to(closed / "needed")
    assert step_down(tmp_path / "home", tmp_path / "link")["read"] == ["here"]


def test_a_needed_file_that_is_closed_itself_is_named(tmp_path: Path) -> None:
    needed = tmp_path / "needed"
    needed.write_text("root's")
    needed.chmod(0o600)
    assert f"may not read {needed}" in refusal(tmp_path / "home", needed)


def test_an_existing_list_keeps_what_it_says(closed: Path) -> None:
    before = Acl.of_mode(0o740).entries | {(Tag.USER, 12345): 6, (Tag.MASK, 0xFFFFFFFF): 4}
    write_acl(closed, Acl(before))
    step_down(closed / "home")
    after = read_acl(closed)
    assert after.effective(Tag.USER, 12345) == Acl(before).effective(Tag.USER, 12345) == 4
    assert after.effective(Tag.GROUP_OBJ) == 4


def test_the_owner_of_a_home_is_its_service_user(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "state.db").touch()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    seen = step_down(home)
    assert seen["ids"][0] == nobody.pw_uid
    assert not seen["handed_over"]


def test_a_home_of_roots_is_handed_over_with_all_in_it(tmp_path: Path, wedsync: pwd.struct_passwd) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    (home / "log").mkdir(parents=True)
    (home / "state.db").touch()
    (home / "log/keeper.log").touch()
    outside.touch()
    (home / "link").symlink_to(outside)
    step_down(home)
    owners = {path.name: path.lstat().st_uid for path in (home, *home.rglob("*"))}
    assert set(owners.values()) == {wedsync.pw_uid}
    assert outside.stat().st_uid == 0  # the link was given, not what it points to


def test_a_hand_over_that_was_interrupted_is_done_again(tmp_path: Path, wedsync: pwd.struct_passwd) -> None:
    home = tmp_path / "home"
    (home / "log").mkdir(parents=True)
    (home / MARKER).touch()
    os.chown(home / "log", wedsync.pw_uid, wedsync.pw_gid)
    assert step_down(home)["handed_over"]


@pytest.mark.parametrize("directory", ["/", "/home", "/etc", "/root", "/var/lib"])
def test_a_directory_of_the_system_is_no_home(directory: str) -> None:
    before = Path(directory).stat().st_uid
    assert "cannot be a home" in refusal(Path(directory))
    assert Path(directory).stat().st_uid == before


@pytest.mark.parametrize("owner", ["root", "nobody"])
def test_a_directory_with_something_else_in_it_is_no_home(tmp_path: Path, owner: str) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").touch()
    uid = pwd.getpwnam(owner).pw_uid
    os.chown(taken, uid, -1)
    assert "in use for something else" in refusal(taken)
    assert (taken.stat().st_uid, (taken / "thesis.txt").stat().st_uid) == (uid, 0)


def test_a_working_directory_out_of_reach_is_left(closed: Path, tmp_path: Path) -> None:
    assert step_down(tmp_path / "home", cwd=closed)["cwd"] == str(tmp_path / "home")


def test_a_file_system_without_lists_is_said_with_the_way_out(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    if subprocess.run(["/bin/mount", "-t", "ramfs", "none", plain], check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        plain.chmod(0o700)
        said = refusal(plain / "home")
    finally:
        subprocess.run(["/bin/umount", plain], check=True)
    assert f"may not pass through {plain}" in said
    assert "--home /var/lib/wedsync" in said


def test_a_program_is_run_as_the_service_user(closed: Path, wedsync: pwd.struct_passwd) -> None:
    command = [sys.executable, "-P", "-m", "wedsync.process.privileges", "exec", "--home", closed / "home"]
    done = subprocess.run([*command, "--", "id", "-un"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == wedsync.pw_name


def test_the_entries_can_be_taken_back(closed: Path) -> None:
    step_down(closed / "home")
    subprocess.run([sys.executable, "-P", "-m", "wedsync.process.privileges", "close", closed], check=True)
    assert read_acl(closed) == Acl.of_mode(0o700)
