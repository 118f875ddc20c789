"""Rules about rows: what deletes or changes them wholesale, and what stops those who work with them."""

from collections.abc import Iterator

from pglast import ast, enums

from wedsync.migrations.files.nodes import has_command, is_true, table_name, words
from wedsync.migrations.lint.model import Hit, Level, Rule, rule
from wedsync.migrations.lint.script import Script


@rule("update-without-where", Level.ERROR, hint="say which rows: WHERE …")
def update_without_where(script: Script) -> Iterator[Hit]:
    """An UPDATE without WHERE rewrites the whole table under a row lock on every row, twice its size on disk until
    VACUUM. `WHERE true` counts as none. Where every row is meant, say so in a reason, or do it in batches."""
    for seen in script.seen:
        for node in _run_now(seen.node):
            if isinstance(node, ast.UpdateStmt) and (node.whereClause is None or is_true(node.whereClause)):
                yield Hit(seen=seen, message=f"UPDATE of every row of {table_name(node.relation)}")


@rule("delete-without-where", Level.ERROR, hint="say which rows: WHERE …")
def delete_without_where(script: Script) -> Iterator[Hit]:
    """A DELETE without WHERE empties the table. `WHERE true` counts as none."""
    for seen in script.seen:
        for node in _run_now(seen.node):
            if isinstance(node, ast.DeleteStmt) and (node.whereClause is None or is_true(node.whereClause)):
                yield Hit(seen=seen, message=f"DELETE of every row of {table_name(node.relation)}")


@rule("truncate", Level.ERROR, hint="DELETE … WHERE …, or a reason why all of it may go")
def truncate(script: Script) -> Iterator[Hit]:
    """TRUNCATE empties tables at once, past row-level security and row triggers (so past the audit trail), and
    shuts out readers until the commit."""
    for seen in script.seen:
        if isinstance(seen.node, ast.TruncateStmt):
            names = ", ".join(table_name(table) for table in seen.node.relations or ())
            yield Hit(seen=seen, message=f"TRUNCATE of {names}")


@rule("lock-table", Level.ERROR, hint="take it out: each statement takes the lock that it needs")
def lock_table(script: Script) -> Iterator[Hit]:
    """LOCK TABLE holds everybody else up until the end of the transaction, and its lock is not among those that a
    dry run can foresee for a statement."""
    for seen in script.seen:
        if isinstance(seen.node, ast.LockStmt):
            names = ", ".join(table_name(table) for table in seen.node.relations or ())
            yield Hit(seen=seen, message=f"LOCK TABLE of {names}")


@rule("vacuum-full", Level.ERROR, hint="wedsync maintain run, or pg_repack in a maintenance window")
def vacuum_full(script: Script) -> Iterator[Hit]:
    """VACUUM FULL and CLUSTER write a table anew under ACCESS EXCLUSIVE: nobody reads it for as long as that
    takes, and the disk holds it twice. Maintenance is no change of the schema."""
    for seen in script.seen:
        match seen.node:
            case ast.VacuumStmt(is_vacuumcmd=True, options=tuple() as options):
                if any(isinstance(option, ast.DefElem) and option.defname == "full" for option in options):
                    yield Hit(seen=seen, message="VACUUM FULL")
            case ast.ClusterStmt():
                yield Hit(seen=seen, message=f"CLUSTER {table_name(seen.node.relation)}".rstrip())
            case _:
                pass


@rule("trigger-off", Level.ERROR, hint="leave the triggers on; what one does too much belongs into its WHEN")
def trigger_off(script: Script) -> Iterator[Hit]:
    """With its triggers disabled a table changes without its checks, its `updated_at` and its audit trail,
    and nothing puts them back if the file forgets to. `session_replication_role = replica` is the same by
    another name."""
    for seen in script.seen:
        if has_command(
            seen.node,
            enums.AlterTableType.AT_DisableTrig,
            enums.AlterTableType.AT_DisableTrigAll,
            enums.AlterTableType.AT_DisableTrigUser,
        ):
            assert isinstance(seen.node, ast.AlterTableStmt)  # noqa: S101 - asked by has_command
            yield Hit(seen=seen, message=f"triggers of {table_name(seen.node.relation)} disabled")
        if isinstance(seen.node, ast.VariableSetStmt) and seen.node.name == "session_replication_role":
            yield Hit(seen=seen, message="triggers and foreign keys are off by session_replication_role")


@rule("audit-trigger-dropped", Level.ERROR, hint="keep it: who changed what must stay known")
def audit_trigger_dropped(script: Script) -> Iterator[Hit]:
    """Without its audit trigger a table's changes leave no trace, and the past of its rows can no longer be
    asked."""
    for seen in script.seen:
        match seen.node:
            case ast.DropStmt(removeType=enums.ObjectType.OBJECT_TRIGGER, objects=tuple() as objects):
                for dropped in objects:
                    *table, name = words(dropped)
                    if name.startswith("audit"):
                        on = ".".join(table) if len(table) > 1 else f"public.{table[0]}"
                        yield Hit(seen=seen, message=f"trigger {name} of {on} dropped")
            case _:
                pass


def _run_now(node: ast.Node) -> Iterator[ast.Node]:
    """A statement with those of its WITH: PostgreSQL lets WITH change data at the top level only."""
    yield node
    if isinstance(node, ast.SelectStmt | ast.InsertStmt | ast.UpdateStmt | ast.DeleteStmt | ast.MergeStmt):
        for part in node.withClause.ctes or () if node.withClause is not None else ():
            if isinstance(part, ast.CommonTableExpr) and part.ctequery is not None:
                yield part.ctequery


RULES: tuple[Rule, ...] = (
    update_without_where,
    delete_without_where,
    truncate,
    lock_table,
    vacuum_full,
    trigger_off,
    audit_trigger_dropped,
)
