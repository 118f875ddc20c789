"""What a row of files makes of a schema, as far as files tell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pglast import ast, enums

from wedsync.migrations.files.nodes import commands, qualified, roles, table_name, words

_ADD_COLUMN = enums.AlterTableType.AT_AddColumn
_ADD_CONSTRAINT = enums.AlterTableType.AT_AddConstraint
_TENANTS = frozenset({"couple_id", "organization_id"})
_PERSON = "user_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as it was made, with the columns that were added since."""

    name: str
    columns: frozenset[str]
    primary_key: tuple[str, ...]
    is_partition: bool

    @property
    def tenant_columns(self) -> frozenset[str]:
        """The columns that say whose a row is.

        A person is one where a table has no other tenant, or leads its key: their devices, their notifications.
        """
        tenants = self.columns & _TENANTS
        is_personal = not tenants or self.primary_key[:1] == (_PERSON,)
        return tenants | (self.columns & {_PERSON}) if is_personal else tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What is known of the schema at one place in the order of files."""

    tables: Mapping[str, Table] = field(default_factory=lambda: MappingProxyType({}))
    execute_is_revoked: bool = False
    """Whether new functions are nobody's (ALTER DEFAULT PRIVILEGES … REVOKE EXECUTE … FROM public)."""
    has_audit: bool = False
    """Whether there is `audit.watch`."""

    def changed_by(self, nodes: Iterable[ast.Node]) -> "Schema":
        """The schema after these statements."""
        tables = dict(self.tables)
        revoked, has_audit = self.execute_is_revoked, self.has_audit
        for node in nodes:
            match node:
                case ast.CreateStmt() if node.relation is not None and node.relation.relpersistence != "t":
                    made = _made(node, tables)
                    tables[made.name] = made
                case ast.AlterTableStmt() if (name := table_name(node.relation)) in tables:
                    tables[name] = _altered(tables[name], node)
                case ast.DropStmt(removeType=enums.ObjectType.OBJECT_TABLE):
                    for dropped in node.objects or ():
                        tables.pop(qualified(dropped), None)
                case ast.AlterDefaultPrivilegesStmt(action=ast.GrantStmt() as grant):
                    if grant.objtype == enums.ObjectType.OBJECT_FUNCTION and "public" in roles(grant.grantees):
                        revoked = not grant.is_grant
                case ast.CreateFunctionStmt() if qualified(node.funcname) == "audit.watch":
                    has_audit = True
                case _:
                    pass
        return Schema(tables=MappingProxyType(tables), execute_is_revoked=revoked, has_audit=has_audit)


def _made(node: ast.CreateStmt, tables: Mapping[str, Table]) -> Table:
    columns: set[str] = set()
    primary_key: tuple[str, ...] = ()
    for parent in node.inhRelations or ():
        inherited = tables.get(table_name(parent))
        if inherited is not None:
            columns |= inherited.columns
            primary_key = inherited.primary_key
    for element in node.tableElts or ():
        match element:
            case ast.ColumnDef():
                columns.add(str(element.colname))
                if any(_is_primary(constraint) for constraint in element.constraints or ()):
                    primary_key = (str(element.colname),)
            case ast.Constraint() if _is_primary(element):
                primary_key = words(element.keys)
            case ast.TableLikeClause() if (like := tables.get(table_name(element.relation))) is not None:
                columns |= like.columns
            case _:
                pass
    return Table(
        name=table_name(node.relation),
        columns=frozenset(columns),
        primary_key=primary_key,
        is_partition=node.partbound is not None,
    )


def _altered(table: Table, node: ast.AlterTableStmt) -> Table:
    for command in commands(node):
        match command.def_:
            case ast.ColumnDef() as column if command.subtype == _ADD_COLUMN:
                table = replace(table, columns=table.columns | {str(column.colname)})
            case ast.Constraint() as constraint if command.subtype == _ADD_CONSTRAINT and _is_primary(constraint):
                table = replace(table, primary_key=words(constraint.keys))
            case _:
                pass
    return table


def _is_primary(constraint: object) -> bool:
    return isinstance(constraint, ast.Constraint) and constraint.contype == enums.ConstrType.CONSTR_PRIMARY
