"""Statements that change more than their own database: they cannot be tried in a shadow of it."""

from typing import Any

from pglast import ast, enums

from wedsync.errors import BeyondShadow
from wedsync.migrations.files.migration import MigrationFile

_SHARED = {
    enums.ObjectType.OBJECT_ROLE: "a role",
    enums.ObjectType.OBJECT_DATABASE: "a database",
    enums.ObjectType.OBJECT_TABLESPACE: "a tablespace",
    enums.ObjectType.OBJECT_PARAMETER_ACL: "a setting of the server",
}
_ROLES = (
    ast.CreateRoleStmt,
    ast.AlterRoleStmt,
    ast.AlterRoleSetStmt,
    ast.DropRoleStmt,
    ast.GrantRoleStmt,
    ast.ReassignOwnedStmt,
    ast.DropOwnedStmt,
)
_DATABASES = (
    ast.CreatedbStmt,
    ast.DropdbStmt,
    ast.AlterDatabaseStmt,
    ast.AlterDatabaseSetStmt,
    ast.AlterDatabaseRefreshCollStmt,
)
_TABLESPACES = (ast.CreateTableSpaceStmt, ast.DropTableSpaceStmt, ast.AlterTableSpaceOptionsStmt)
_SUBSCRIPTIONS = (ast.CreateSubscriptionStmt, ast.AlterSubscriptionStmt, ast.DropSubscriptionStmt)


def refuse_what_reaches_beyond(file: MigrationFile) -> None:
    """Raise `BeyondShadow` for the first statement that would change roles, other databases or the server."""
    for statement in file.statements:
        what = what_is_changed_beyond(statement.node)
        if what is not None:
            raise BeyondShadow(
                f"{file.file_name}:{statement.line}: changes {what}; a shadow database cannot keep that to itself",
                detail=statement.first_line,
                hint=BeyondShadow.HINT,
            )


def what_is_changed_beyond(node: ast.Node) -> str | None:  # noqa: PLR0911 - one line for each kind of statement
    """What a statement changes outside its database; `None` if nothing."""
    match node:
        case _ if isinstance(node, _ROLES):
            return "roles"
        case _ if isinstance(node, _DATABASES):
            return "a database"
        case _ if isinstance(node, _TABLESPACES):
            return "a tablespace"
        case _ if isinstance(node, _SUBSCRIPTIONS):
            return "a subscription to another server"
        case ast.AlterSystemStmt():
            return "settings of the server"
        case ast.CopyStmt() if node.filename is not None:
            return "files or programs of the server's machine"
        case ast.RenameStmt():
            return _shared(node.renameType)
        case ast.AlterOwnerStmt():
            return _shared(node.objectType)
        case ast.CommentStmt() | ast.SecLabelStmt() | ast.GrantStmt():
            return _shared(node.objtype)
        case _:
            return None


def _shared(kind: Any) -> str | None:
    return _SHARED.get(kind)
