"""Which locks a statement takes on tables that others use.

From the manual (13.3.1, Table-Level Locks, and the page of each command) and AlterTableGetLockLevel in the source;
`tests/integration/test_migrations_locks.py` holds it against a server. What a statement locks by way of triggers,
functions, views, inheritance, or a partitioned table's partitions is not in here: the dry run sees it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pglast import ast, enums

from wedsync.migrations.files.nodes import commands, qualified, table_name, words
from wedsync.migrations.files.own_transaction import option

_COMMAND = enums.AlterTableType


class LockMode(StrEnum):
    """Table-level locks, weakest first."""

    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    @property
    def strength(self) -> int:
        return list(LockMode).index(self)

    @property
    def keeps_out(self) -> str:
        """Whom it holds up."""
        match self:
            case LockMode.ROW_EXCLUSIVE | LockMode.SHARE_UPDATE_EXCLUSIVE:
                return "other changes of the schema"
            case LockMode.SHARE | LockMode.SHARE_ROW_EXCLUSIVE | LockMode.EXCLUSIVE:
                return "writers"
            case LockMode.ACCESS_EXCLUSIVE:
                return "readers and writers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock on one table (or index, or view)."""

    table: str
    mode: LockMode

    def to_json(self) -> dict[str, object]:
        return {"table": self.table, "mode": self.mode.value, "keeps_out": self.mode.keeps_out}


_ALTER = {
    _COMMAND.AT_ValidateConstraint: LockMode.SHARE_UPDATE_EXCLUSIVE,
    _COMMAND.AT_SetStatistics: LockMode.SHARE_UPDATE_EXCLUSIVE,
    _COMMAND.AT_SetOptions: LockMode.SHARE_UPDATE_EXCLUSIVE,
    _COMMAND.AT_ResetOptions: LockMode.SHARE_UPDATE_EXCLUSIVE,
    _COMMAND.AT_ClusterOn: LockMode.SHARE_UPDATE_EXCLUSIVE,
    _COMMAND.AT_DropCluster: LockMode.SHARE_UPDATE_EXCLUSIVE,
    _COMMAND.AT_AttachPartition: LockMode.SHARE_UPDATE_EXCLUSIVE,
    _COMMAND.AT_DetachPartitionFinalize: LockMode.SHARE_UPDATE_EXCLUSIVE,
    _COMMAND.AT_EnableTrig: LockMode.SHARE_ROW_EXCLUSIVE,
    _COMMAND.AT_EnableTrigAll: LockMode.SHARE_ROW_EXCLUSIVE,
    _COMMAND.AT_EnableTrigUser: LockMode.SHARE_ROW_EXCLUSIVE,
    _COMMAND.AT_EnableAlwaysTrig: LockMode.SHARE_ROW_EXCLUSIVE,
    _COMMAND.AT_EnableReplicaTrig: LockMode.SHARE_ROW_EXCLUSIVE,
    _COMMAND.AT_DisableTrig: LockMode.SHARE_ROW_EXCLUSIVE,
    _COMMAND.AT_DisableTrigAll: LockMode.SHARE_ROW_EXCLUSIVE,
    _COMMAND.AT_DisableTrigUser: LockMode.SHARE_ROW_EXCLUSIVE,
}
"""Parts of ALTER TABLE that take less than ACCESS EXCLUSIVE whatever they say."""
_GENTLE_STORAGE = {
    "fillfactor",
    "parallel_workers",
    "toast_tuple_target",
    "vacuum_truncate",
    "vacuum_index_cleanup",
}


def locks_of(node: ast.Node) -> tuple[Lock, ...]:
    """The strongest lock a statement takes on each table that it names, ACCESS SHARE and ROW SHARE left out."""
    strongest: dict[str, LockMode] = {}
    for lock in _locks(node):
        held = strongest.get(lock.table)
        if held is None or lock.mode.strength > held.strength:
            strongest[lock.table] = lock.mode
    return tuple(Lock(table=table, mode=mode) for table, mode in strongest.items())


def _locks(node: ast.Node) -> Iterator[Lock]:  # noqa: PLR0912 - one case a command
    match node:
        case ast.InsertStmt() | ast.UpdateStmt() | ast.DeleteStmt() | ast.MergeStmt():
            yield _on(node.relation, LockMode.ROW_EXCLUSIVE)
        case ast.CreateStmt():
            yield from _of_create(node)
        case ast.AlterTableStmt():
            yield from _of_alter(node)
        case ast.IndexStmt():
            yield _on(node.relation, LockMode.SHARE_UPDATE_EXCLUSIVE if node.concurrent else LockMode.SHARE)
        case ast.CreateTrigStmt():
            yield _on(node.relation, LockMode.SHARE_ROW_EXCLUSIVE)
        case ast.CreatePolicyStmt() | ast.AlterPolicyStmt():
            yield _on(node.table, LockMode.ACCESS_EXCLUSIVE)
        case ast.RuleStmt():
            yield _on(node.relation, LockMode.ACCESS_EXCLUSIVE)
        case ast.RenameStmt(relation=ast.RangeVar()):
            is_index = node.renameType == enums.ObjectType.OBJECT_INDEX
            yield _on(node.relation, LockMode.SHARE_UPDATE_EXCLUSIVE if is_index else LockMode.ACCESS_EXCLUSIVE)
        case ast.AlterObjectSchemaStmt(relation=ast.RangeVar()):
            yield _on(node.relation, LockMode.ACCESS_EXCLUSIVE)
        case ast.TruncateStmt():
            for table in node.relations or ():
                yield _on(table, LockMode.ACCESS_EXCLUSIVE)
        case ast.DropStmt():
            yield from _of_drop(node)
        case ast.RefreshMatViewStmt():
            yield _on(node.relation, LockMode.EXCLUSIVE if node.concurrent else LockMode.ACCESS_EXCLUSIVE)
        case ast.ClusterStmt(relation=ast.RangeVar()):
            yield _on(node.relation, LockMode.ACCESS_EXCLUSIVE)
        case ast.VacuumStmt():
            full = option(node.options, "full") not in {None, "false", "off", "0"}
            for relation in node.rels or ():
                yield _on(
                    relation.relation, LockMode.ACCESS_EXCLUSIVE if full else LockMode.SHARE_UPDATE_EXCLUSIVE
                )
        case ast.ReindexStmt(relation=ast.RangeVar()):
            concurrently = option(node.params, "concurrently") not in {None, "false", "off", "0"}
            yield _on(node.relation, LockMode.SHARE_UPDATE_EXCLUSIVE if concurrently else LockMode.SHARE)
        case ast.CommentStmt():
            yield from _of_comment(node)
        case _:
            pass


def _of_create(node: ast.CreateStmt) -> Iterator[Lock]:
    for parent in node.inhRelations or ():
        is_partition = node.partbound is not None
        yield _on(parent, LockMode.ACCESS_EXCLUSIVE if is_partition else LockMode.SHARE_UPDATE_EXCLUSIVE)
    for element in node.tableElts or ():
        constraints = (element.constraints or ()) if isinstance(element, ast.ColumnDef) else (element,)
        yield from _referenced(constraints)


def _of_alter(node: ast.AlterTableStmt) -> Iterator[Lock]:
    for command in commands(node):
        mode = (
            _ALTER.get(command.subtype, LockMode.ACCESS_EXCLUSIVE)
            if command.subtype is not None
            else LockMode.ACCESS_EXCLUSIVE
        )
        match command.def_:
            case ast.Constraint(contype=enums.ConstrType.CONSTR_FOREIGN) as constraint:
                mode = LockMode.SHARE_ROW_EXCLUSIVE
                yield from _referenced((constraint,))
            case ast.ColumnDef() as column:
                yield from _referenced(column.constraints or ())
            case ast.PartitionCmd() as partition:
                attaches = command.subtype == _COMMAND.AT_AttachPartition
                gentle = bool(partition.concurrent)
                mode = LockMode.SHARE_UPDATE_EXCLUSIVE if attaches or gentle else LockMode.ACCESS_EXCLUSIVE
                yield _on(
                    partition.name, LockMode.ACCESS_EXCLUSIVE if not gentle else LockMode.SHARE_UPDATE_EXCLUSIVE
                )
            case tuple() as storage if command.subtype in {_COMMAND.AT_SetRelOptions, _COMMAND.AT_ResetRelOptions}:
                names = {str(item.defname) for item in storage if isinstance(item, ast.DefElem)}
                if all(name in _GENTLE_STORAGE or name.startswith("autovacuum_") for name in names):
                    mode = LockMode.SHARE_UPDATE_EXCLUSIVE
            case _:
                pass
        yield _on(node.relation, mode)


def _referenced(constraints: tuple[object, ...]) -> Iterator[Lock]:
    for constraint in constraints:
        if isinstance(constraint, ast.Constraint) and constraint.pktable is not None:
            yield _on(constraint.pktable, LockMode.SHARE_ROW_EXCLUSIVE)


def _of_drop(node: ast.DropStmt) -> Iterator[Lock]:
    for dropped in node.objects or ():
        match node.removeType:
            case enums.ObjectType.OBJECT_TRIGGER | enums.ObjectType.OBJECT_POLICY | enums.ObjectType.OBJECT_RULE:
                *table, _ = words(dropped)
                yield Lock(table=_in_public(table), mode=LockMode.ACCESS_EXCLUSIVE)
            case enums.ObjectType.OBJECT_INDEX if node.concurrent:
                yield Lock(table=qualified(dropped), mode=LockMode.SHARE_UPDATE_EXCLUSIVE)
            case (
                enums.ObjectType.OBJECT_TABLE
                | enums.ObjectType.OBJECT_VIEW
                | enums.ObjectType.OBJECT_MATVIEW
                | enums.ObjectType.OBJECT_INDEX
                | enums.ObjectType.OBJECT_SEQUENCE
            ):
                yield Lock(table=qualified(dropped), mode=LockMode.ACCESS_EXCLUSIVE)
            case _:
                pass


def _of_comment(node: ast.CommentStmt) -> Iterator[Lock]:
    match node.objtype:
        case (
            enums.ObjectType.OBJECT_TABLE
            | enums.ObjectType.OBJECT_VIEW
            | enums.ObjectType.OBJECT_MATVIEW
            | enums.ObjectType.OBJECT_INDEX
        ):
            yield Lock(table=qualified(node.object), mode=LockMode.SHARE_UPDATE_EXCLUSIVE)
        case enums.ObjectType.OBJECT_COLUMN:
            *table, _ = words(node.object)
            yield Lock(table=_in_public(table), mode=LockMode.SHARE_UPDATE_EXCLUSIVE)
        case _:
            pass


def _in_public(names: list[str]) -> str:
    return ".".join(names) if len(names) > 1 else f"public.{names[0]}"


def _on(table: ast.RangeVar | None, mode: LockMode) -> Lock:
    return Lock(table=table_name(table), mode=mode)
