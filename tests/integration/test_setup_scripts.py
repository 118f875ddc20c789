"""The entry scripts of a checkout that is set up, and the decisions of `bin/.setup.sh`."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHELL = "/bin/sh"


def shell(script: str, *, root: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run lines of shell after sourcing the set-up functions, as a script in `bin/` would."""
    return subprocess.run(
        [SHELL, "-c", f'. "{ROOT}/bin/.setup.sh"\n{script}', str(root / "bin/any")],
        env={"PATH": os.environ["PATH"], "HOME": "/home/ann"} | environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def make_programs(*paths: Path) -> None:
    """Empty programs at these paths."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an environment that claims to be set up."""
    root = tmp_path / "checkout"
    for part in ("bin", "requirements"):
        shutil.copytree(ROOT / part, root / part)
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/python").symlink_to("/bin/sh")  # any program: it is not run
    done = shell("choose_places run /nowhere; python_key run >$VENV/.installed-run", root=root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize(
    ("arguments", "environment", "home"),
    [
        ("", {}, "/home/ann/.wedsync"),
        ("", {"WEDSYNC_HOME": "/srv/w"}, "/srv/w"),
        ("--port 1 --home /srv/h", {"WEDSYNC_HOME": "/srv/w"}, "/srv/h"),
        ("--home=/srv/h --detach", {}, "/srv/h"),
        ("-- --home /srv/h", {}, "/home/ann/.wedsync"),
        ("--home", {}, "/home/ann/.wedsync"),
    ],
)
def test_the_home_is_found_by_the_rule_of_the_command_line(
    arguments: str, environment: dict[str, str], home: str
) -> None:
    assert shell(f"home_of {arguments}", **environment).stdout.strip() == home


def test_a_home_given_relative_is_below_the_working_directory() -> None:
    assert shell("cd /srv; home_of --home w").stdout.strip() == "/srv/w"


def test_an_environment_that_matches_its_lock_file_is_ready(checkout: Path) -> None:
    assert shell("choose_places run /nowhere; python_ready run", root=checkout).returncode == 0


@pytest.mark.parametrize(
    "change",
    [
        "echo '# new' >>requirements/run.txt",
        "touch .venv/.unfinished",
        "rm .venv/.installed-run",
        "ln -sf /bin/ls .venv/bin/python",
        "rm .venv/bin/python",
    ],
)
def test_an_environment_that_is_stale_or_unfinished_is_not_ready(checkout: Path, change: str) -> None:
    subprocess.run([SHELL, "-c", change], cwd=checkout, check=True)
    assert shell("choose_places run /nowhere; python_ready run", root=checkout).returncode != 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_checkout_that_cannot_be_written_to_has_its_environment_in_the_home(
    checkout: Path, tmp_path: Path
) -> None:
    shutil.rmtree(checkout / ".venv")
    checkout.chmod(0o555)
    done = shell(f'choose_places run {tmp_path}/home; echo "$VENV $WORK"', root=checkout)
    checkout.chmod(0o755)
    assert done.stdout.split() == [f"{tmp_path}/home/venv", f"{tmp_path}/home/setup"]


def test_an_engine_below_the_home_is_found(tmp_path: Path) -> None:
    bin_dir = tmp_path / "engine/usr/lib/postgresql/99/bin"
    (tmp_path / "pgdata").mkdir()
    (tmp_path / "pgdata/PG_VERSION").write_text("99\n")  # no system has this one
    assert shell(f"has_postgresql {tmp_path}").returncode != 0
    make_programs(bin_dir / "initdb", bin_dir / "postgres")
    assert shell(f"has_postgresql {tmp_path}").returncode == 0


def test_a_data_directory_of_another_version_wants_that_version(tmp_path: Path) -> None:
    bin_dir = tmp_path / "engine/usr/lib/postgresql/99/bin"
    make_programs(bin_dir / "initdb", bin_dir / "postgres")
    (tmp_path / "pgdata").mkdir()
    (tmp_path / "pgdata/PG_VERSION").write_text("98\n")
    assert shell(f"has_postgresql {tmp_path}").returncode != 0
    assert "postgresql-98" in shell(f"missing_packages {tmp_path} 98").stdout


def test_an_engine_that_is_too_old_does_not_count(tmp_path: Path) -> None:
    for version in ("9.6", "14"):
        bin_dir = tmp_path / f"engine/usr/lib/postgresql/{version}/bin"
        make_programs(bin_dir / "initdb", bin_dir / "postgres")
    script = f"OLDEST_POSTGRESQL=1000; has_postgresql {tmp_path}"
    done = shell(script)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_step_that_fails_shows_what_it_printed_and_ends_the_set_up(tmp_path: Path) -> None:
    script = f"WORK={tmp_path}; broken() {{ echo seen; false; echo unreachable; }}; step trying broken; echo on"
    done = shell(script)
    assert done.returncode == 1
    assert "seen" in done.stderr
    assert "trying: failed" in done.stderr
    assert "unreachable" not in done.stdout + done.stderr
    assert "on" not in done.stdout.split()


def test_every_package_of_run_is_locked_to_the_same_version_in_dev() -> None:
    def pins(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / name).read_text()
        return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))

    assert pins("run.txt").items() <= pins("dev.txt").items()


def test_the_script_runs_from_anywhere_through_a_link_and_ignores_modules_there(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('a module of the working directory was imported')")
    (tmp_path / "link").symlink_to(ROOT / "bin/wedsync")
    if shell("choose_places run /nowhere; python_ready run").returncode != 0:
        pytest.skip("this checkout's environment was not made by bin/test")
    done = subprocess.run([tmp_path / "link", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
    assert done.stderr == ""
