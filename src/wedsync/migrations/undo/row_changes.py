"""Statements of a rollback that change rows, and which of them the parser sees into."""

from typing import Any

from pglast import ast
from pglast.stream import RawStream

from wedsync.migrations.files.statements import Statement
from wedsync.migrations.undo.losses import LossKind, Threat

_HARMLESS = (
    ast.InsertStmt,
    ast.DropStmt,
    ast.AlterTableStmt,
    ast.IndexStmt,
    ast.CreateStmt,
    ast.CommentStmt,
    ast.GrantStmt,
    ast.CreatePolicyStmt,
    ast.CreateTrigStmt,
    ast.RenameStmt,
    ast.AlterOwnerStmt,
)
"""What they lose shows in the catalogue, or they lose nothing."""


def row_changes(migration: str, statement: Statement) -> list[Threat] | None:
    """What a statement does to rows; `None` if that cannot be read from it (DO, CALL, a function, WITH)."""
    node = statement.node
    match node:
        case ast.DeleteStmt() if node.withClause is None:
            return [_threat(migration, LossKind.DELETE, node.relation, _where(node, node.usingClause))]
        case ast.UpdateStmt() if node.withClause is None:
            return [_threat(migration, LossKind.UPDATE, node.relation, _where(node, node.fromClause))]
        case ast.TruncateStmt():
            return [_threat(migration, LossKind.TRUNCATE, relation, None) for relation in node.relations or ()]
        case _ if isinstance(node, _HARMLESS) and getattr(node, "withClause", None) is None:
            return []
        case _:
            return None


def _threat(migration: str, kind: LossKind, relation: Any, where: str | None) -> Threat:
    return Threat(
        migration=migration,
        kind=kind,
        schema=relation.schemaname or "public",
        table=relation.relname,
        where=where,
    )


def _where(node: ast.DeleteStmt | ast.UpdateStmt, others: Any) -> str | None:
    """The condition by itself; `None` where there is none, or it is about other tables and names too."""
    relation: Any = node.relation
    if others or node.whereClause is None or relation.alias is not None:
        return None
    return str(RawStream()(node.whereClause))
