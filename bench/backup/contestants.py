"""Who is compared: each takes a full backup, perhaps an incremental one, and brings the server back."""

import asyncio
import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ground import Ground, size_bytes
from measure import Cost, JobFailed, call, run

from wedsync.backup import BackupKind, RunReason

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A backup that was taken, and what it cost."""

    cost: Cost
    stored_bytes: int


class Contestant(Protocol):
    """One way to back up and to recover."""

    name: str
    incremental: bool
    """Whether it can take an incremental backup of this server."""

    def back_up(self, kind: str) -> Taken: ...

    def recover(self, moment: datetime) -> Cost | None:
        """From an empty data directory to a server that takes writes; None: it is another one's job."""
        ...

    def verify(self) -> Cost | None: ...


class Repository:
    """Where the two that use pgBackRest keep their backups: the same one."""

    def __init__(self, ground: Ground) -> None:
        self._backups = ground.home.root / "repo1" / "backup" / ground.platform.config.backup.stanza
        self.base: str | None = None
        """The backup that recoveries start from, so that nobody picks another one."""

    def labels(self) -> set[str]:
        return {entry.name for entry in self._backups.iterdir() if entry.name[0] == "2"}

    def bytes_since(self, before: set[str]) -> int:
        return size_bytes(self._backups / label for label in self.labels() - before)


class Ours:
    """The product as an operator uses it: a command, interpreter start and all."""

    name = "wedsync"
    incremental = True

    def __init__(self, ground: Ground, repository: Repository) -> None:
        self._ground = ground
        self._repository = repository

    def back_up(self, kind: str) -> Taken:
        before = self._repository.labels()
        cost, _ = run(self._ground.command("backup", "run", "--type", kind, "--repo", "1", "--json"))
        return Taken(cost=cost, stored_bytes=self._repository.bytes_since(before))

    def recover(self, moment: datetime) -> Cost | None:
        cost, answer = run(
            self._ground.command("recover", "run", "--to", moment.isoformat(), "--yes", "--json"),
            writable=self._ground.conninfo,
        )
        found = json.loads(answer)
        phases = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in found["phases_s"].items())
        print(f"    forecast {found['forecast_s']:.1f} s, took {found['took_s']:.1f} s: {phases}", flush=True)
        return cost

    def verify(self) -> Cost | None:
        return run(self._ground.command("backup", "verify", "--repo", "1", "--json"))[0]


class OursInside:
    """The product's backup as the keeper takes it: in a process that runs already."""

    name = "wedsync, in the keeper"
    incremental = True

    def __init__(self, ground: Ground, repository: Repository) -> None:
        self._ground = ground
        self._repository = repository

    def back_up(self, kind: str) -> Taken:
        def take() -> None:
            runs = self._ground.platform.backup_runs
            asyncio.run(runs.take(BackupKind(kind), repo=1, reason=RunReason.OPERATOR))

        before = self._repository.labels()
        cost = call(take)
        return Taken(cost=cost, stored_bytes=self._repository.bytes_since(before))

    def recover(self, moment: datetime) -> Cost | None:  # noqa: ARG002 - the command's job
        return None

    def verify(self) -> Cost | None:
        return None


class Bare:
    """pgBackRest itself: the same options, the same repository."""

    name = "pgBackRest"
    incremental = True

    def __init__(self, ground: Ground, repository: Repository) -> None:
        self._ground = ground
        self._repository = repository

    def back_up(self, kind: str) -> Taken:
        before = self._repository.labels()
        cost, _ = run([*self._ground.pgbackrest, "--repo=1", f"--type={kind}", "backup"])
        return Taken(cost=cost, stored_bytes=self._repository.bytes_since(before))

    def recover(self, moment: datetime) -> Cost | None:
        base = [f"--set={self._repository.base}"] if self._repository.base else []
        return _restore_and_start(
            self._ground,
            [
                [
                    *self._ground.pgbackrest,
                    "--repo=1",
                    *base,
                    "--type=time",
                    f"--target={moment:%Y-%m-%d %H:%M:%S.%f+00}",
                    "--target-timeline=1",
                    "--target-action=promote",
                    "restore",
                ]
            ],
        )

    def verify(self) -> Cost | None:
        return run([*self._ground.pgbackrest, "--repo=1", "verify"])[0]


class BaseBackup:
    """`pg_basebackup`: one compressed tar, WAL from a directory of plain files, no encryption."""

    name = "pg_basebackup"
    incremental = False

    def __init__(self, ground: Ground, directory: Path) -> None:
        self._ground = ground
        self._backup = directory / "base"
        self._wal = directory / "wal"
        self._copy = directory / "copy"

    def back_up(self, kind: str) -> Taken:  # noqa: ARG002 - it knows full ones only
        shutil.rmtree(self._backup, ignore_errors=True)
        cost, _ = run(
            [
                self._ground.program("pg_basebackup"),
                "-d",
                self._ground.server,
                *("-D", self._backup, "-F", "tar", "-X", "none", "-c", "fast", "--no-password"),
                *("-Z", "client-zstd:level=3,workers=2"),
            ]
        )
        return Taken(cost=cost, stored_bytes=size_bytes([self._backup]))

    def recover(self, moment: datetime) -> Cost | None:
        self._ground.copy_archive(self._wal)
        pgdata = self._ground.home.pgdata
        return _restore_and_start(
            self._ground,
            [["mkdir", "-m", "0700", str(pgdata)], self._unpack(pgdata)],
            target=f'restore_command = \'cp "{self._wal}/%f" "%p"\'\n'
            f"recovery_target_time = '{moment:%Y-%m-%d %H:%M:%S.%f+00}'\n"
            "recovery_target_timeline = '1'\nrecovery_target_action = 'promote'\n",
        )

    def verify(self) -> Cost | None:
        """`pg_verifybackup` of this version reads no tar: it is unpacked first."""
        shutil.rmtree(self._copy, ignore_errors=True)
        self._copy.mkdir(mode=0o700)
        manifest = self._backup / "backup_manifest"
        check = [self._ground.program("pg_verifybackup"), "-n", "-q", "-m", str(manifest), str(self._copy)]

        def unpack_and_verify() -> None:
            for command in (self._unpack(self._copy), check):
                subprocess.run(command, check=True)

        cost = call(unpack_and_verify)
        shutil.rmtree(self._copy)
        return cost

    def _unpack(self, destination: Path) -> list[str]:
        return ["tar", "-x", "-I", "zstd -d", "-f", str(self._backup / "base.tar.zst"), "-C", str(destination)]


class Barman:
    """Barman with `backup_method = postgres`, WAL streamed to it while the others run, no encryption."""

    name = "Barman"
    incremental = False  # rsync over ssh, or PostgreSQL 17

    def __init__(self, ground: Ground, directory: Path) -> None:
        self._ground = ground
        self._home = directory / "home"
        self._config = directory / "barman.conf"
        self._program = install_barman(directory / "venv")
        self._home.mkdir(parents=True, exist_ok=True)
        self._config.write_text(f"""\
[barman]
barman_home = {self._home}
barman_user = {pwd.getpwuid(os.geteuid()).pw_name}
barman_lock_directory = {directory}
log_file = {directory}/barman.log
path_prefix = {Path(ground.program("postgres")).parent}

[bench]
description = the server of the benchmark
conninfo = {ground.server} dbname=postgres
streaming_conninfo = {ground.server}
backup_method = postgres
streaming_archiver = on
slot_name = barman
create_slot = auto
immediate_checkpoint = on
backup_compression = zstd
backup_compression_format = tar
backup_compression_location = client
backup_compression_level = 3
backup_compression_workers = 2
staging_path = {directory}/staging
staging_location = local
""")
        self._run("receive-wal", "--create-slot", "bench")
        self._receiver = subprocess.Popen(
            [str(self._program), "-c", str(self._config), "receive-wal", "bench"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._catch_up()

    def back_up(self, kind: str) -> Taken:  # noqa: ARG002 - it knows full ones only
        self._delete_all()
        cost = self._run("backup", "--wait", "bench")
        return Taken(cost=cost, stored_bytes=size_bytes([self._home / "bench" / "base"]))

    def end_of_wal(self) -> None:
        """Everything that was written is archived; the stream ends, and its slot."""
        self._catch_up()
        self.close()
        for _ in range(20):
            try:
                self._run("receive-wal", "--drop-slot", "bench")
            except JobFailed:
                time.sleep(0.5)  # the server has not noticed yet that the stream is gone
            else:
                break

    def recover(self, moment: datetime) -> Cost | None:
        if shutil.which("rsync") is None:
            print("    without Barman: its recovery copies WAL with rsync, which is not here", flush=True)
            return None
        barman = [str(self._program), "-c", str(self._config)]
        return _restore_and_start(
            self._ground,
            [
                [
                    *barman,
                    "recover",
                    *("--target-time", f"{moment:%Y-%m-%d %H:%M:%S.%f+00:00}"),
                    *("--target-tli", "1", "--target-action", "promote"),
                    *("bench", "latest", str(self._ground.home.pgdata)),
                ]
            ],
            archiving=False,
        )

    def verify(self) -> Cost | None:
        return None

    def close(self) -> None:
        """End the process that receives WAL."""
        self._receiver.terminate()
        self._receiver.wait()

    def _catch_up(self) -> None:
        """Have all WAL of this moment in Barman's archive."""
        self._ground.stream_to("barman")
        self._run("archive-wal", "bench")

    def _delete_all(self) -> None:
        base = self._home / "bench" / "base"
        for entry in sorted(base.iterdir()) if base.is_dir() else []:
            self._run("delete", "bench", entry.name)

    def _run(self, *words: str) -> Cost:
        return run([self._program, "-c", self._config, *words])[0]


def install_barman(venv: Path) -> Path:
    """Barman in an environment of its own, from the locked requirements; gives its program.

    Its driver comes as source: that needs a C compiler and libpq's headers (libpq-dev).
    """
    program = venv / "bin" / "barman"
    if not program.exists():
        locked = ROOT / "requirements" / "bench.txt"
        steps: list[list[str | Path]] = [
            [sys.executable, "-m", "venv", venv],
            [venv / "bin" / "python", "-m", "pip", "install", "-q", "--require-hashes", "--no-deps", "-r", locked],
        ]
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                shutil.rmtree(venv, ignore_errors=True)
                raise JobFailed(f"Barman cannot be installed: {(done.stderr or done.stdout).strip()[-600:]}")
    return program


def _restore_and_start(
    ground: Ground, commands: list[list[str]], *, target: str | None = None, archiving: bool = True
) -> Cost:
    """Run the commands and start the server; `target` is added to its settings, with the signal file."""
    pgdata = ground.home.pgdata
    start = [ground.program("pg_ctl"), "-D", str(pgdata), "-W", "-s", "-l", str(ground.home.log / "bench.log")]
    start += ["-o", "-c archive_mode=off"] if target is not None or not archiving else []

    def restore_and_start() -> None:
        for command in commands:
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode != 0:
                raise JobFailed(f"{' '.join(command)}: {done.stderr[-800:]}{done.stdout[-800:]}")
        if target is not None:
            with (pgdata / "postgresql.auto.conf").open("a") as file:
                file.write(target)
            (pgdata / "recovery.signal").touch()
        subprocess.run([*start, "start"], check=True, stdout=subprocess.DEVNULL)

    cost = call(restore_and_start, writable=ground.conninfo)
    return replace(cost, wall_s=max(cost.wall_s, cost.read_write_s or 0.0))


def is_root() -> bool:
    """Whether this is root, as whom PostgreSQL does not run."""
    return os.geteuid() == 0
