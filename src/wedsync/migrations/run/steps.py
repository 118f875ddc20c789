"""Steps of a file without a transaction: what each is about, and what to do with one that was begun before."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.files.problems import Problem, ProblemKind
from wedsync.migrations.files.statements import Statement

if TYPE_CHECKING:
    from pglast import ast


class Direction(StrEnum):
    """Which text of a migration runs."""

    UP = "up"
    DOWN = "down"


class StepKind(StrEnum):
    """How a step is run, and how one can see whether it ran."""

    SETTING = "setting"
    """SET: it is of the session, and needed again when the file is resumed."""
    ORDINARY = "ordinary"
    """It runs in one transaction with its record: its outcome is never unknown."""
    CREATE_INDEX = "create_index"
    DROP_INDEX = "drop_index"
    REINDEX = "reindex"
    DETACH = "detach"
    CREATE_DATABASE = "create_database"
    DROP_DATABASE = "drop_database"
    REPEATABLE = "repeatable"
    """VACUUM and its like: once more does no harm."""
    OPAQUE = "opaque"
    """CALL, DO and what else may commit by itself: from outside it cannot be seen whether it ran."""


class StepState(StrEnum):
    """What the record of a step says."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"


class Presence(StrEnum):
    """How the thing is found that a step makes or takes away."""

    ABSENT = "absent"
    VALID = "valid"
    INVALID = "invalid"
    """An index left by a broken CONCURRENTLY, or a partition whose detaching was begun."""
    UNKNOWN = "unknown"


class Decision(StrEnum):
    """What to do with a step."""

    SKIP = "skip"
    RUN = "run"
    MARK_DONE = "mark_done"
    """It ran, but its record was not written any more."""
    ASK = "ask"
    """Only a person can tell whether it ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """A row of `ops.migration_steps`."""

    step: int
    checksum: str
    statement: str
    state: StepState
    before: Presence
    """How its thing was found before it was begun."""
    by: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One statement of the file, and what it is about."""

    number: int
    """From 1."""
    statement: Statement
    kind: StepKind
    name: str = ""
    """The index, partition or database; in quotes, ready for `to_regclass`, but for an index that is made
    and a database, which are looked up by their bare names. Empty where the kind has none."""
    table: str = ""
    """The table it belongs to, quoted; empty where that is not said."""

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.statement.text.encode()).hexdigest()

    @property
    def is_concurrent(self) -> bool:
        """Whether nobody queues behind it while it waits, so that it may wait long."""
        return self.kind in {StepKind.CREATE_INDEX, StepKind.DROP_INDEX, StepKind.REINDEX, StepKind.DETACH}


def decide(step: Step, record: StepRecord | None, presence: Presence) -> Decision:
    """What to do with a step, given its record and how its thing is found now."""
    if step.kind is StepKind.SETTING:
        return Decision.RUN
    if record is None or record.state is StepState.FAILED:
        return Decision.RUN
    if record.state is StepState.DONE:
        return Decision.SKIP
    match step.kind:
        case StepKind.CREATE_INDEX | StepKind.CREATE_DATABASE:
            ran = presence is Presence.VALID and record.before is not Presence.VALID
        case StepKind.DROP_INDEX | StepKind.DROP_DATABASE | StepKind.DETACH:
            ran = presence is Presence.ABSENT and record.before is not Presence.ABSENT
        case StepKind.OPAQUE:
            return Decision.ASK
        case _:
            ran = False
    return Decision.MARK_DONE if ran else Decision.RUN


def changed_since(file_name: str, steps: tuple[Step, ...], records: Mapping[int, StepRecord]) -> Problem | None:
    """Why a file that was interrupted cannot go on: a step that ran, or may have run, has another text now."""
    by_number = {step.number: step for step in steps}
    for number, record in sorted(records.items()):
        step = by_number.get(number)
        if record.state is StepState.FAILED or (step is not None and step.checksum == record.checksum):
            continue
        now = f"now: {step.statement.first_line}" if step is not None else "now there is no such step"
        return Problem(
            kind=ProblemKind.EDITED,
            id=file_name.removesuffix(".sql"),
            message=f"{file_name} was edited half-way: step {number} is {record.state}, as "
            f"{record.statement.partition(chr(10))[0][:100]!r}; {now}",
            hint="put the steps that ran back as they were; steps after them may change",
        )
    return None


def steps_of(statements: tuple[Statement, ...]) -> tuple[Step, ...]:
    """The steps of a file without a transaction."""
    return tuple(_step(number, statement) for number, statement in enumerate(statements, start=1))


def step_problems(file: MigrationFile) -> Iterator[Problem]:
    """What would keep a file without a transaction from being resumed."""
    texts: list[tuple[str, tuple[Statement, ...]]] = []
    if not file.options.transaction:
        texts.append((file.file_name, file.statements))
    if not file.rollback_options.transaction:
        texts.append((file.rollback_file_name, file.rollback_statements))
    for name, statements in texts:
        for step in steps_of(statements):
            if isinstance(step.statement.node, _parser().DiscardStmt) and step.statement.needs_own_transaction:
                yield Problem(
                    kind=ProblemKind.CANNOT_RUN,
                    id=file.id,
                    message=f"{name}:{step.statement.line}: DISCARD ALL gives up the runners' lock",
                    hint="leave it out: what a file sets for itself ends with it",
                )
            if step.kind is StepKind.CREATE_INDEX and not step.name:
                yield Problem(
                    kind=ProblemKind.CANNOT_RUN,
                    id=file.id,
                    message=f"{name}:{step.statement.line}: an index without a name",
                    hint="name it: if its building is interrupted, it has to be found again",
                )


def _step(number: int, statement: Statement) -> Step:
    kind, name, table = _about(statement, _parser())
    return Step(number=number, statement=statement, kind=kind, name=name, table=table)


def _parser() -> Any:
    from pglast import ast  # noqa: PLC0415 - the parser takes 80 ms to import

    return ast


def _about(statement: Statement, ast: Any) -> tuple[StepKind, str, str]:  # noqa: PLR0911 - a table
    node: Any = statement.node
    if isinstance(node, ast.VariableSetStmt) and not node.is_local:
        return StepKind.SETTING, "", ""
    if isinstance(node, ast.CallStmt | ast.DoStmt):
        return StepKind.OPAQUE, "", ""
    if not statement.needs_own_transaction:
        return StepKind.ORDINARY, "", ""
    match node:
        case ast.IndexStmt():
            return StepKind.CREATE_INDEX, str(node.idxname or ""), _relation(node.relation)
        case ast.DropStmt():
            return StepKind.DROP_INDEX, ".".join(quoted(part.sval) for part in node.objects[0]), ""
        case ast.ReindexStmt():
            index = node.kind.name == "REINDEX_OBJECT_INDEX"
            relation = _relation(node.relation) if node.relation is not None else ""
            return StepKind.REINDEX, relation if index else "", "" if index else relation
        case ast.AlterTableStmt():
            return StepKind.DETACH, _relation(node.cmds[0].def_.name), _relation(node.relation)
        case ast.CreatedbStmt():
            return StepKind.CREATE_DATABASE, node.dbname, ""
        case ast.DropdbStmt():
            return StepKind.DROP_DATABASE, node.dbname, ""
        case ast.VacuumStmt() | ast.ClusterStmt() | ast.AlterSystemStmt() | ast.DiscardStmt():
            return StepKind.REPEATABLE, "", ""
        case _:
            return StepKind.OPAQUE, "", ""


def quoted(name: str) -> str:
    """An identifier in quotes; nothing for nothing."""
    return '"' + name.replace('"', '""') + '"' if name else ""


def _relation(relation: "ast.RangeVar") -> str:
    parts = (str(part) for part in (relation.schemaname, relation.relname) if part)
    return ".".join(quoted(part) for part in parts)
