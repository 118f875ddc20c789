"""Locks that nobody can look at: of statements that end their own transaction."""

from pglast import ast


def known_lock(node: ast.Node) -> str | None:
    """The lock on its table of a statement that ends its own transaction, so that nobody can see it.

    Source: PostgreSQL manual, 13.3.1 and the pages of the commands. `None`: not known, or none.
    """
    match node:
        case ast.IndexStmt() | ast.ReindexStmt() | ast.DropStmt() | ast.AlterTableStmt():
            return "SHARE UPDATE EXCLUSIVE"  # only their CONCURRENTLY is a transaction of its own
        case ast.VacuumStmt():
            full = any(it.defname == "full" for it in node.options or ())
            return "ACCESS EXCLUSIVE" if full else "SHARE UPDATE EXCLUSIVE"
        case ast.ClusterStmt():
            return "ACCESS EXCLUSIVE"
        case _:
            return None
