"""Who is compared. Each writes the changes in its own form, and applies them to the present database."""

import asyncio
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from files import Change
from ground import Ground

from wedsync.migrations import Mode, up

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


class Unavailable(Exception):
    """A peer cannot be installed here."""


class JobFailed(Exception):
    """A tool ended badly; the words are its last ones."""


class Transactions(StrEnum):
    """How many transactions the changes get."""

    ONE = "one for all"
    EACH = "one each"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one run took."""

    wall_s: float
    cpu_s: float
    """The tool's processor seconds, without the server's."""


class Contestant(Protocol):
    """One way to apply changes."""

    name: str
    transactions: Transactions

    def prepare(self, changes: Sequence[Change]) -> None:
        """Write them down in the tool's own form."""
        ...

    def run(self) -> Cost:
        """Apply what is pending."""
        ...


def call(command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path | None = None) -> Cost:
    """Run a program to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        [str(word) for word in command], env=dict(env), cwd=cwd, capture_output=True, text=True, check=False
    )
    wall_s = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise JobFailed(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return Cost(wall_s=wall_s, cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


class Psql:
    """The same text in one file: the least that any tool has to do."""

    def __init__(self, ground: Ground, directory: Path, transactions: Transactions) -> None:
        self.transactions = transactions
        self.name = "psql -1" if transactions is Transactions.ONE else "psql, BEGIN and COMMIT"
        self._ground = ground
        self._file = directory / f"psql-{transactions.name.lower()}.sql"

    def prepare(self, changes: Sequence[Change]) -> None:
        one = self.transactions is Transactions.ONE
        texts = [change.forward if one else f"begin;\n{change.forward}commit;\n" for change in changes]
        self._file.write_text("".join(texts))

    def run(self) -> Cost:
        psql = [self._ground.platform.engine.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        one = ["-1"] if self.transactions is Transactions.ONE else []
        return call([*psql, *one, "-f", self._file], env=self._ground.variables)


class _OurFiles:
    def __init__(self, ground: Ground, directory: Path, transactions: Transactions) -> None:
        self.transactions = transactions
        self._ground = ground
        self._directory = directory / "wedsync"
        self._mode = Mode.ALL if transactions is Transactions.ONE else Mode.EACH

    def prepare(self, changes: Sequence[Change]) -> None:
        _empty(self._directory)
        for change in changes:
            (self._directory / f"{change.id}.sql").write_text(change.forward)
            (self._directory / f"{change.id}.rollback.sql").write_text(change.back)


class OurCommand(_OurFiles):
    """The product as an operator uses it: a command, interpreter start and all."""

    name = "wedsync migrate up"

    def run(self) -> Cost:
        words = ("migrate", "up", "--mode", self._mode, "--directory", str(self._directory))
        return call(self._ground.command(*words), env=self._ground.variables)

    def ask(self, *words: str) -> Cost:
        """`migrate …` on the same files."""
        return call(
            self._ground.command("migrate", *words, "--directory", str(self._directory)),
            env=self._ground.variables,
        )


class OurLibrary(_OurFiles):
    """The same in a process that runs already: how `bin/up` and the gateway migrate."""

    name = "wedsync, as a library"

    def run(self) -> Cost:
        conditions = self._ground.platform.migration_conditions()
        before, began = time.process_time(), time.perf_counter()
        asyncio.run(up(self._ground.target, directory=self._directory, mode=self._mode, conditions=conditions))
        return Cost(wall_s=time.perf_counter() - began, cpu_s=time.process_time() - before)


class Alembic:
    """Alembic on SQLAlchemy and the same driver, each change an `op.execute`."""

    name = "alembic"

    def __init__(self, ground: Ground, directory: Path, transactions: Transactions, program: Path) -> None:
        self.transactions = transactions
        self._ground = ground
        self._directory = directory / "alembic"
        self._program = program

    def prepare(self, changes: Sequence[Change]) -> None:
        versions = _empty(self._directory) / "versions"
        versions.mkdir()
        (self._directory / "alembic.ini").write_text(f"[alembic]\nscript_location = {self._directory}\n")
        (self._directory / "env.py").write_text((HERE / "alembic_env.py").read_text())
        before: str | None = None
        for change in changes:
            (versions / f"{change.id}.py").write_text(
                "from alembic import op\n"
                f"revision, down_revision = {change.id!r}, {before!r}\n\n\n"
                f"def upgrade():\n    op.execute({change.forward!r})\n\n\n"
                f"def downgrade():\n    op.execute({change.back!r})\n"
            )
            before = change.id

    def run(self) -> Cost:
        each = "1" if self.transactions is Transactions.EACH else ""
        variables = self._ground.variables | {"TRANSACTION_PER_MIGRATION": each}
        words = [self._program, "-c", self._directory / "alembic.ini", "upgrade", "head"]
        return call(words, env=variables, cwd=self._directory)


class NodePgMigrate:
    """node-pg-migrate with changes in SQL."""

    name = "node-pg-migrate"

    def __init__(self, ground: Ground, directory: Path, transactions: Transactions, program: Path) -> None:
        self.transactions = transactions
        self._ground = ground
        self._directory = directory / "node-pg-migrate"
        self._program = program

    def prepare(self, changes: Sequence[Change]) -> None:
        _empty(self._directory)
        for change in changes:
            text = f"-- Up Migration\n{change.forward}\n-- Down Migration\n{change.back}"
            (self._directory / f"{1_700_000_000_000 + change.number}_{change.name}.sql").write_text(text)

    def run(self) -> Cost:
        each = ["--no-single-transaction"] if self.transactions is Transactions.EACH else []
        words = [self._program, "up", "-m", self._directory, *each]
        return call(words, env=self._ground.variables, cwd=self._directory.parent)


class Dbmate:
    """dbmate, which gives each file its own transaction."""

    name = "dbmate"
    transactions = Transactions.EACH

    def __init__(self, ground: Ground, directory: Path, program: Path) -> None:
        self._ground = ground
        self._directory = directory / "dbmate"
        self._program = program

    def prepare(self, changes: Sequence[Change]) -> None:
        _empty(self._directory)
        for change in changes:
            text = f"-- migrate:up\n{change.forward}\n-- migrate:down\n{change.back}"
            (self._directory / f"{20260101000000 + change.number}_{change.name}.sql").write_text(text)

    def run(self) -> Cost:
        target = self._ground.target
        url = f"postgres://{target.user}@:{target.port}/{target.dbname}?host={target.host}&sslmode=disable"
        words = [self._program, "--url", url, "-d", self._directory, "--no-dump-schema", "migrate"]
        return call(words, env=self._ground.variables)


def install_alembic(venv: Path) -> Path:
    """Alembic in an environment of its own, from the locked requirements; gives its program."""
    program = venv / "bin" / "alembic"
    if not program.exists():
        locked = ROOT / "requirements" / "bench-migrate.txt"
        pip = [
            venv / "bin" / "python",
            "-m",
            "pip",
            "install",
            "-q",
            "--require-hashes",
            "--no-deps",
            "-r",
            locked,
        ]
        _install([[sys.executable, "-m", "venv", venv], pip], unless="Alembic", leftover=venv)
    return program


def install_from_npm(directory: Path) -> Path:
    """node-pg-migrate, and dbmate where there is one for this machine, from the locked packages; their place."""
    modules = directory / "node_modules"
    if not modules.exists():
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, directory / name)
        npm = shutil.which("npm")
        if npm is None:
            raise Unavailable("node-pg-migrate and dbmate want npm, which is not here")
        _install([[npm, "ci", "--no-audit", "--no-fund", "--prefix", directory]], unless="npm", leftover=directory)
    return modules


def _install(steps: Sequence[Sequence[str | Path]], *, unless: str, leftover: Path) -> None:
    for step in steps:
        done = subprocess.run(list(step), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(leftover, ignore_errors=True)
            raise Unavailable(f"{unless} cannot be installed: {(done.stderr or done.stdout).strip()[-600:]}")


def all_contestants(ground: Ground, work: Path, *, say: Callable[[str], None]) -> list[Contestant]:
    """psql first, the product, and the peers that can be installed here."""
    one, each = Transactions.ONE, Transactions.EACH
    found: list[Contestant] = [
        Psql(ground, work, one),
        OurCommand(ground, work, one),
        OurLibrary(ground, work, one),
        Psql(ground, work, each),
        OurCommand(ground, work, each),
        OurLibrary(ground, work, each),
    ]
    try:
        alembic = install_alembic(work / "venv")
        found += [Alembic(ground, work, one, alembic), Alembic(ground, work, each, alembic)]
    except Unavailable as error:
        say(f"without a peer: {error}")
    try:
        modules = install_from_npm(work / "npm")
        node = modules / ".bin" / "node-pg-migrate"
        found += [NodePgMigrate(ground, work, one, node), NodePgMigrate(ground, work, each, node)]
        dbmate = modules / "@dbmate" / "linux-x64" / "bin" / "dbmate"
        if dbmate.exists():
            found.append(Dbmate(ground, work, dbmate))
    except Unavailable as error:
        say(f"without a peer: {error}")
    return found


def is_root() -> bool:
    """PostgreSQL refuses root."""
    return os.geteuid() == 0
