"""What a statement is, in the words of SQL: `CREATE TABLE public.guests`."""

from pglast import ast, enums

from wedsync.migrations.files.nodes import qualified, table_name
from wedsync.migrations.files.statements import Statement

_OBJECTS = {
    enums.ObjectType.OBJECT_TABLE: "TABLE",
    enums.ObjectType.OBJECT_VIEW: "VIEW",
    enums.ObjectType.OBJECT_MATVIEW: "MATERIALIZED VIEW",
    enums.ObjectType.OBJECT_INDEX: "INDEX",
    enums.ObjectType.OBJECT_SEQUENCE: "SEQUENCE",
    enums.ObjectType.OBJECT_FOREIGN_TABLE: "FOREIGN TABLE",
}


_OBJECT_WORDS = {
    "column",
    "domain",
    "extension",
    "function",
    "functions",
    "policy",
    "procedure",
    "schema",
    "sequence",
}
_WORDS = _OBJECT_WORDS | {"constraint", "role", "table", "trigger", "type", "view", "on", "to", "from", "in", "is"}
"""Words that are no names, written in capitals."""


def kind_of(statement: Statement) -> str:  # noqa: PLR0911, PLR0912 - one case a command
    """Its command and what it is about; for a command that is not in here, its first words."""
    match statement.node:
        case ast.CreateStmt() as node:
            return f"CREATE TABLE {table_name(node.relation)}"
        case ast.CreateTableAsStmt(into=ast.IntoClause(rel=into)) as node:
            return f"CREATE {_object(node.objtype)} {table_name(into)}"
        case ast.AlterTableStmt() as node:
            return f"ALTER {_object(node.objtype)} {table_name(node.relation)}"
        case ast.IndexStmt() as node:
            how = f"{'UNIQUE ' if node.unique else ''}INDEX{' CONCURRENTLY' if node.concurrent else ''}"
            return " ".join(f"CREATE {how} {node.idxname or ''} ON {table_name(node.relation)}".split())
        case ast.CreateFunctionStmt() as node:
            return f"CREATE {'PROCEDURE' if node.is_procedure else 'FUNCTION'} {qualified(node.funcname)}"
        case ast.CreatePolicyStmt() as node:
            return f"CREATE POLICY {node.policy_name} ON {table_name(node.table)}"
        case ast.AlterPolicyStmt() as node:
            return f"ALTER POLICY {node.policy_name} ON {table_name(node.table)}"
        case ast.CreateTrigStmt() as node:
            return f"CREATE TRIGGER {node.trigname} ON {table_name(node.relation)}"
        case ast.ViewStmt() as node:
            return f"CREATE VIEW {table_name(node.view)}"
        case ast.InsertStmt() as node:
            return f"INSERT INTO {table_name(node.relation)}"
        case ast.UpdateStmt() as node:
            return f"UPDATE {table_name(node.relation)}"
        case ast.DeleteStmt() as node:
            return f"DELETE FROM {table_name(node.relation)}"  # noqa: S608 - words for people
        case ast.TruncateStmt() as node:
            return f"TRUNCATE {', '.join(table_name(table) for table in node.relations or ())}"
        case ast.CreateEnumStmt() as node:
            return f"CREATE TYPE {qualified(node.typeName)}"
        case ast.AlterEnumStmt() as node:
            return f"ALTER TYPE {qualified(node.typeName)}"
        case ast.CreateSchemaStmt() as node:
            return f"CREATE SCHEMA {node.schemaname}"
        case ast.CreateSeqStmt() as node:
            return f"CREATE SEQUENCE {table_name(node.sequence)}"
        case ast.DropStmt() as node if node.removeType in _OBJECTS:
            names = ", ".join(qualified(name) for name in node.objects or ())
            return f"DROP {_object(node.removeType)}{' CONCURRENTLY' if node.concurrent else ''} {names}"
        case _:
            return _first_words(statement.text)


def _object(kind: enums.ObjectType | None) -> str:
    return "TABLE" if kind is None else _OBJECTS.get(kind, "TABLE")


def _first_words(text: str) -> str:
    """Its first line as far as the command goes: up to the first parenthesis or string, or five words."""
    line = text.partition("\n")[0]
    for end in ("(", "'", "$", "{"):
        line = line.partition(end)[0]
    first, *others = line.split()[:5] or [text[:20]]
    return " ".join([first.upper(), *(word.upper() if word.lower() in _WORDS else word for word in others)])
