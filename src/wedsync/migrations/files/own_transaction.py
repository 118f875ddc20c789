"""Statements that PostgreSQL refuses to run inside a transaction (PreventInTransactionBlock in its source)."""

from typing import Any

from pglast import ast, enums

_WHOLE = {
    enums.ReindexObjectType.REINDEX_OBJECT_SCHEMA,
    enums.ReindexObjectType.REINDEX_OBJECT_SYSTEM,
    enums.ReindexObjectType.REINDEX_OBJECT_DATABASE,
}
_REFRESHING = {
    enums.AlterSubscriptionType.ALTER_SUBSCRIPTION_SET_PUBLICATION,
    enums.AlterSubscriptionType.ALTER_SUBSCRIPTION_ADD_PUBLICATION,
    enums.AlterSubscriptionType.ALTER_SUBSCRIPTION_DROP_PUBLICATION,
}


def needs_own_transaction(node: ast.Node) -> bool:  # noqa: PLR0911 - one line for each kind of statement
    """Whether this statement must be a transaction of its own.

    A few depend on what the table is (REINDEX or CLUSTER of a partitioned one): only the server knows those.
    `ALTER TYPE … ADD VALUE` may run in a transaction; it is the new value that may not be used in it.
    """
    match node:
        case (
            ast.CreatedbStmt()
            | ast.DropdbStmt()
            | ast.CreateTableSpaceStmt()
            | ast.DropTableSpaceStmt()
            | ast.AlterSystemStmt()
            | ast.DropSubscriptionStmt()
        ):
            return True
        case ast.IndexStmt() | ast.DropStmt():
            return bool(node.concurrent)
        case ast.ReindexStmt():
            return node.kind in _WHOLE or option(node.params, "concurrently") not in {None, "false", "off", "0"}
        case ast.VacuumStmt():
            return bool(node.is_vacuumcmd)
        case ast.ClusterStmt():
            return node.relation is None
        case ast.AlterTableStmt():
            return any(_is_concurrent_detach(command) for command in node.cmds or ())
        case ast.AlterDatabaseStmt():
            return option(node.options, "tablespace") is not None
        case ast.CreateSubscriptionStmt():
            return not _is_off(node.options, "connect") and not _is_off(node.options, "create_slot")
        case ast.AlterSubscriptionStmt():
            return node.kind == enums.AlterSubscriptionType.ALTER_SUBSCRIPTION_REFRESH or (
                node.kind in _REFRESHING and not _is_off(node.options, "refresh")
            )
        case ast.DiscardStmt():
            return node.target == enums.DiscardMode.DISCARD_ALL
        case _:
            return False


def option(options: tuple[Any, ...] | None, name: str) -> str | None:
    """What `name` is set to among a statement's options, in lower case; `true` if only named, `None` if not."""
    for item in options or ():
        if isinstance(item, ast.DefElem) and item.defname == name:
            match item.arg:
                case ast.Boolean():
                    return str(item.arg.boolval).lower()
                case ast.Integer():
                    return str(item.arg.ival)
                case ast.String():
                    return str(item.arg.sval).lower()
                case ast.TypeName():  # what a bare word is to the grammar: off, but not on
                    return str((item.arg.names or (ast.String(""),))[-1].sval).lower()
                case _:
                    return "true"
    return None


def _is_off(options: tuple[Any, ...] | None, name: str) -> bool:
    return option(options, name) in {"false", "off", "0"}


def _is_concurrent_detach(command: object) -> bool:
    return (
        isinstance(command, ast.AlterTableCmd)
        and isinstance(command.def_, ast.PartitionCmd)
        and bool(command.def_.concurrent)
    )
