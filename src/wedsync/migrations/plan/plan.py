"""What `up` would do: statement by statement, with the locks, and what lint says of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from pglast import ast

from wedsync.migrations.files.blocks import read_block
from wedsync.migrations.files.directory import content_problems
from wedsync.migrations.files.migration import MigrationFile, MigrationFiles
from wedsync.migrations.files.nodes import table_name
from wedsync.migrations.files.problems import Problem
from wedsync.migrations.files.statements import Statement
from wedsync.migrations.ledger.status import Status
from wedsync.migrations.lint import LintReport, lint
from wedsync.migrations.plan.kinds import kind_of
from wedsync.migrations.plan.locks import Lock, locks_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStatement:
    """One statement, before it runs."""

    statement: Statement
    kind: str
    in_transaction: bool
    """Whether it runs in the file's transaction; if not, it commits by itself."""
    locks: tuple[Lock, ...]
    """On tables that were there before this file; held until its transaction ends."""

    def to_json(self) -> dict[str, object]:
        return {
            "line": self.statement.line,
            "statement": self.statement.first_line,
            "kind": self.kind,
            "in_transaction": self.in_transaction,
            "locks": [lock.to_json() for lock in self.locks],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """One pending migration."""

    file: MigrationFile
    statements: tuple[PlannedStatement, ...]
    """None where the file cannot be read: the problems say why."""

    def to_json(self) -> dict[str, object]:
        return {
            "id": self.file.id,
            "checksum": self.file.checksum,
            "depends": list(self.file.options.depends),
            "transaction": self.file.options.transaction,
            "statements": [statement.to_json() for statement in self.statements],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `up` would run, in this order, and what stands against it."""

    pending: tuple[PlannedFile, ...]
    problems: tuple[Problem, ...]
    lint: LintReport

    @property
    def can_run(self) -> bool:
        """Whether `up` would begin; findings of lint do not stop it."""
        return not self.problems

    def to_json(self) -> dict[str, object]:
        return {
            "pending": [file.to_json() for file in self.pending],
            "problems": [problem.to_json() for problem in self.problems],
            "lint": self.lint.to_json(),
        }


async def make_plan(found: MigrationFiles, status: Status) -> Plan:
    """Plan what is pending; needs no database beyond the `status` that was read from it."""
    report = await lint(found, only={file.id for file in status.pending})
    inside = {file.id: content_problems(file) for file in status.pending}
    return Plan(
        pending=tuple(
            PlannedFile(file=file, statements=() if inside[file.id] else tuple(_planned(file)))
            for file in status.pending
        ),
        problems=(*status.problems, *(problem for problems in inside.values() for problem in problems)),
        lint=report,
    )


def _planned(file: MigrationFile) -> Iterator[PlannedStatement]:
    own: set[str] = set()
    for statement in file.statements:
        nodes = [statement.node]
        if isinstance(statement.node, ast.DoStmt):
            nodes += [node for line in read_block(statement.text) for node in line.nodes]
        if file.options.transaction:
            own |= {table_name(node.relation) for node in nodes if isinstance(node, ast.CreateStmt)}
        locks = dict.fromkeys(lock for node in nodes for lock in locks_of(node) if lock.table not in own)
        yield PlannedStatement(
            statement=statement,
            kind=kind_of(statement),
            in_transaction=file.options.transaction,
            locks=tuple(locks),
        )
