"""Rules about keys: the tenant leads them, so that they are fast and tell nothing of other tenants."""

from collections.abc import Iterator
from dataclasses import dataclass

from pglast import ast, enums

from wedsync.migrations.files.nodes import commands, schema_of, table_name, words
from wedsync.migrations.lint.model import Hit, Level, Rule, rule
from wedsync.migrations.lint.schema import Table
from wedsync.migrations.lint.script import Script, Seen

_UNIQUE = {enums.ConstrType.CONSTR_UNIQUE, enums.ConstrType.CONSTR_EXCLUSION}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """A key that this file gives a table of public with a tenant."""

    seen: Seen
    table: Table
    columns: tuple[str, ...]
    references: str | None = None
    """The table that a foreign key points to."""
    referenced: tuple[str, ...] = ()
    """Its columns there; none where it is the primary key."""


@rule("primary-key-without-tenant", Level.ERROR, hint="primary key (couple_id, id): the tenant first")
def primary_key_without_tenant(script: Script) -> Iterator[Hit]:
    """Policies filter by tenant: with the tenant first, the primary key is the index that they use, and a
    foreign key to it can carry the tenant along. A key of the id alone tells by its errors that a row exists."""
    for seen in script.seen:
        if not isinstance(seen.node, ast.CreateStmt):
            continue
        table = script.after.tables.get(table_name(seen.node.relation))
        if table is None or schema_of(table.name) != "public" or not table.tenant_columns:
            continue
        if not table.primary_key:
            yield Hit(seen=seen, message=f"{table.name} has no primary key")
        elif table.primary_key[0] not in table.tenant_columns:
            key = ", ".join(table.primary_key)
            yield Hit(
                seen=seen,
                message=f"the primary key of {table.name} begins with {table.primary_key[0]}",
                hint=f"primary key ({min(table.tenant_columns)}, {key})",
            )


@rule("unique-without-tenant", Level.ERROR, hint="unique per tenant: unique (couple_id, …)")
def unique_without_tenant(script: Script) -> Iterator[Hit]:
    """A constraint that is unique over all tenants answers questions about rows that the caller may not see: "this
    e-mail is taken". With the tenant among its columns it asks only the caller's own rows."""
    for key in _unique_keys(script):
        if not key.table.tenant_columns & set(key.columns):
            yield Hit(
                seen=key.seen,
                message=f"unique ({', '.join(key.columns)}) of {key.table.name} spans all tenants",
                hint=f"unique ({', '.join((min(key.table.tenant_columns), *key.columns))})",
            )


@rule(
    "foreign-key-without-tenant",
    Level.ERROR,
    hint="foreign key (couple_id, x_id) references public.x (couple_id, id)",
)
def foreign_key_without_tenant(script: Script) -> Iterator[Hit]:
    """Foreign keys look past row-level security. One that points by id alone accepts rows of another tenant, and
    its errors tell whether an id exists: an oracle. With the tenant in both keys neither is possible."""
    for key in _foreign_keys(script):
        if not key.table.tenant_columns & set(key.columns) and not _is_of_the_target(key, script):
            tenant, columns = min(key.table.tenant_columns), ", ".join(key.columns)
            yield Hit(
                seen=key.seen,
                message=f"{key.table.name} ({columns}) references {key.references} without the tenant",
                hint=f"foreign key ({tenant}, {columns}) references {key.references} ({tenant}, id)",
            )


def _is_of_the_target(key: _Key, script: Script) -> bool:
    """Whether a foreign key carries the tenant of the table that it points to, or that table has none."""
    target = script.after.tables.get(key.references or "")
    if target is None:
        return False
    return not target.tenant_columns or bool(target.tenant_columns & set(key.referenced or target.primary_key))


def _unique_keys(script: Script) -> Iterator[_Key]:
    for seen, table, constraint, column in _constraints(script):
        if constraint.contype in _UNIQUE:
            elements = [pair[0] for pair in constraint.exclusions or ()]
            columns = words(constraint.keys) or tuple(str(e.name) for e in elements if e.name) or (column or "",)
            yield _Key(seen=seen, table=table, columns=columns)
    for seen in script.seen:
        if isinstance(seen.node, ast.IndexStmt) and seen.node.unique:
            table = _tenant_table(script, table_name(seen.node.relation))
            if table is not None:
                yield _Key(seen=seen, table=table, columns=_index_columns(seen.node))


def _foreign_keys(script: Script) -> Iterator[_Key]:
    for seen, table, constraint, column in _constraints(script):
        references = table_name(constraint.pktable)
        if constraint.contype == enums.ConstrType.CONSTR_FOREIGN and schema_of(references) == "public":
            yield _Key(
                seen=seen,
                table=table,
                columns=words(constraint.fk_attrs) or (column or "",),
                references=references,
                referenced=words(constraint.pk_attrs),
            )


def _constraints(script: Script) -> Iterator[tuple[Seen, Table, ast.Constraint, str | None]]:
    """Constraints of tables with a tenant, with the column they stand at."""
    for seen in script.seen:
        match seen.node:
            case ast.CreateStmt():
                parts: tuple[object, ...] = seen.node.tableElts or ()
            case ast.AlterTableStmt():
                parts = tuple(command.def_ for command in commands(seen.node))
            case _:
                continue
        table = _tenant_table(script, table_name(seen.node.relation))
        if table is None:
            continue
        for part in parts:
            match part:
                case ast.Constraint():
                    yield seen, table, part, None
                case ast.ColumnDef():
                    for constraint in part.constraints or ():
                        if isinstance(constraint, ast.Constraint):
                            yield seen, table, constraint, str(part.colname)
                case _:
                    pass


def _tenant_table(script: Script, name: str) -> Table | None:
    table = script.after.tables.get(name)
    return table if table is not None and schema_of(name) == "public" and table.tenant_columns else None


def _index_columns(index: ast.IndexStmt) -> tuple[str, ...]:
    return tuple(str(e.name) if e.name else "(…)" for e in index.indexParams or () if isinstance(e, ast.IndexElem))


RULES: tuple[Rule, ...] = (primary_key_without_tenant, unique_without_tenant, foreign_key_without_tenant)
