"""Rules about tables of tenants: row-level security, in the file that makes the table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pglast import ast, enums

from wedsync.migrations.files.nodes import commands, has_command, roles, schema_of, table_name, walk, words
from wedsync.migrations.files.own_transaction import option
from wedsync.migrations.lint.model import Hit, Level, Rule, rule
from wedsync.migrations.lint.schema import Table
from wedsync.migrations.lint.script import Script, Seen

_CALLERS = {"anon", "authenticated"}
_ANY = "*"
"""Tables that a file names when it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A table of public that this file makes."""

    seen: Seen
    table: Table
    has_security: bool
    has_forced_security: bool
    has_tenant_policy: bool


@rule("table-without-rls", Level.ERROR, hint="alter table … enable row level security;")
def table_without_rls(script: Script) -> Iterator[Hit]:
    """Every table of public is shown by the data API. Without row-level security whoever is granted the table sees
    every tenant's rows. It is enabled in the file that makes the table, or there is a moment without it."""
    for made in _made(script):
        if not made.has_security:
            yield Hit(
                seen=made.seen,
                message=f"{made.table.name} has no row-level security",
                hint=f"alter table {made.table.name} enable row level security;",
            )


@rule("table-without-forced-rls", Level.ERROR, hint="alter table … force row level security;")
def table_without_forced_rls(script: Script) -> Iterator[Hit]:
    """Without FORCE the owner of a table passes its policies by: a function of the owner's, or a connection that
    became it, sees everything."""
    for made in _made(script):
        if not made.has_forced_security:
            yield Hit(
                seen=made.seen,
                message=f"{made.table.name} does not force its row-level security on its owner",
                hint=f"alter table {made.table.name} force row level security;",
            )


@rule(
    "table-without-tenant-policy",
    Level.ERROR,
    hint="create policy tenant on … as restrictive to anon, authenticated using (…);",
)
def table_without_tenant_policy(script: Script) -> Iterator[Hit]:
    """Permissive policies add up: one that is too wide opens the table. A RESTRICTIVE policy for all commands, on
    anon and authenticated, holds whatever the others say: no row of another tenant."""
    for made in _made(script):
        if made.table.tenant_columns and not made.has_tenant_policy:
            column = "couple_id" if "couple_id" in made.table.tenant_columns else min(made.table.tenant_columns)
            mine = {
                "couple_id": "any ((select app.my_couples())::uuid[])",
                "organization_id": "any ((select app.my_organizations())::uuid[])",
                "user_id": "(select auth.uid())",
            }[column]
            yield Hit(
                seen=made.seen,
                message=f"{made.table.name} has no restrictive policy for anon and authenticated",
                hint=(
                    f"create policy tenant on {made.table.name} as restrictive to anon, authenticated "
                    f"using ({column} = {mine});"
                ),
            )


@rule(
    "table-without-tenant-column",
    Level.ERROR,
    hint="couple_id uuid not null references public.couples, or organization_id",
)
def table_without_tenant_column(script: Script) -> Iterator[Hit]:
    """A row says itself whose it is: couple_id, organization_id, or user_id for what belongs to one person.
    To find it out by a join costs every query, and the policies could not use an index. Silent in a schema
    that has no tenants."""
    if not any(table.tenant_columns for table in script.before.tables.values()):
        return
    for made in _made(script):
        if not made.table.tenant_columns:
            yield Hit(seen=made.seen, message=f"{made.table.name} has none of couple_id, organization_id, user_id")


@rule("table-without-audit", Level.ERROR, hint="select audit.watch('public.…');")
def table_without_audit(script: Script) -> Iterator[Hit]:
    """Every change of a tenant's row is recorded: who, when, what it was before. A table is watched from the
    file that makes it, by `select audit.watch('public.…')`, or the past of its first rows is lost. Silent
    where no earlier file makes that function."""
    if not script.before.has_audit:
        return
    watched = {name for seen in script.seen for name in _watched(seen.node)}
    for made in _made(script):
        if not made.table.is_partition and not watched & {made.table.name, _ANY}:
            yield Hit(
                seen=made.seen,
                message=f"changes of {made.table.name} are not recorded",
                hint=f"select audit.watch('{made.table.name}');",
            )


@rule("rls-off", Level.ERROR, hint="leave it on; give the role that must see all a policy of its own")
def rls_off(script: Script) -> Iterator[Hit]:
    """DISABLE ROW LEVEL SECURITY opens a table to everybody it is granted to, NO FORCE opens it to its owner."""
    for seen in script.seen:
        if isinstance(seen.node, ast.AlterTableStmt):
            name = table_name(seen.node.relation)
            if has_command(seen.node, enums.AlterTableType.AT_DisableRowSecurity):
                yield Hit(seen=seen, message=f"row-level security of {name} disabled")
            if has_command(seen.node, enums.AlterTableType.AT_NoForceRowSecurity):
                yield Hit(seen=seen, message=f"row-level security of {name} no longer forced on its owner")


@rule("view-without-security-invoker", Level.ERROR, hint="create view … with (security_invoker = true) as …")
def view_without_security_invoker(script: Script) -> Iterator[Hit]:
    """A view reads its tables as its owner, past the caller's policies, unless it is made with
    security_invoker."""
    for seen in script.seen:
        match seen.node:
            case ast.ViewStmt() as view if not _is_invoker(view.options):
                yield Hit(seen=seen, message=f"view {table_name(view.view)} reads as its owner")
            case ast.AlterTableStmt(objtype=enums.ObjectType.OBJECT_VIEW) as altered:
                for command in commands(altered):
                    if _takes_invoker(command):
                        name = table_name(altered.relation)
                        yield Hit(seen=seen, message=f"view {name} reads as its owner from now on")
            case _:
                pass


@rule(
    "materialized-view-in-public",
    Level.ERROR,
    hint="put it into ops and show it by a function that filters by tenant",
)
def materialized_view_in_public(script: Script) -> Iterator[Hit]:
    """A materialised view holds the rows that its owner saw when it was refreshed: of every tenant. It cannot have
    policies."""
    for seen in script.seen:
        match seen.node:
            case ast.CreateTableAsStmt(objtype=enums.ObjectType.OBJECT_MATVIEW, into=ast.IntoClause() as into):
                if schema_of(table_name(into.rel)) == "public":
                    yield Hit(seen=seen, message=f"materialised view {table_name(into.rel)} in public")
            case _:
                pass


@rule("table-from-query", Level.ERROR, hint="create table … (…); insert into … select …;")
def table_from_query(script: Script) -> Iterator[Hit]:
    """CREATE TABLE AS gives a table of public without key, constraints and policies, already filled."""
    for seen in script.seen:
        match seen.node:
            case ast.CreateTableAsStmt(
                objtype=enums.ObjectType.OBJECT_TABLE, into=ast.IntoClause(rel=ast.RangeVar() as made)
            ):
                if schema_of(table_name(made)) == "public" and made.relpersistence != "t":
                    yield Hit(seen=seen, message=f"{table_name(made)} is made from a query")
            case _:
                pass


def _made(script: Script) -> Iterator[_Made]:
    for seen in script.seen:
        if not isinstance(seen.node, ast.CreateStmt):
            continue
        table = script.after.tables.get(table_name(seen.node.relation))
        if table is None or schema_of(table.name) != "public":
            continue  # temporary, or dropped again by the same file
        altered = [
            command.subtype
            for other in script.seen
            if isinstance(other.node, ast.AlterTableStmt) and table_name(other.node.relation) == table.name
            for command in commands(other.node)
        ]
        yield _Made(
            seen=seen,
            table=table,
            has_security=enums.AlterTableType.AT_EnableRowSecurity in altered,
            has_forced_security=enums.AlterTableType.AT_ForceRowSecurity in altered,
            has_tenant_policy=any(_is_tenant_policy(other.node, table.name) for other in script.seen),
        )


def _is_tenant_policy(node: ast.Node, table: str) -> bool:
    return (
        isinstance(node, ast.CreatePolicyStmt)
        and table_name(node.table) == table
        and not node.permissive
        and node.cmd_name == "all"
        and (roles(node.roles) >= _CALLERS or "public" in roles(node.roles))
    )


def _watched(node: ast.Node) -> Iterator[str]:
    """The tables that a statement has watched."""
    for call in walk(node) if isinstance(node, ast.SelectStmt) else ():
        match call:
            case ast.FuncCall(funcname=tuple() as name, args=(table, *_)) if words(name) == ("audit", "watch"):
                match table.arg if isinstance(table, ast.TypeCast) else table:
                    case ast.A_Const(val=ast.String(sval=str() as text)):
                        yield text if "." in text else f"public.{text}"
                    case _:
                        yield _ANY
            case _:
                pass


def _is_invoker(options: tuple[Any, ...] | None) -> bool:
    return option(options, "security_invoker") in {"true", "on", "yes", "1"}


def _takes_invoker(command: ast.AlterTableCmd) -> bool:
    """Whether this part of an ALTER VIEW sets security_invoker off, or back to what it is by itself: off."""
    settings: Any = command.def_
    return command.subtype == enums.AlterTableType.AT_ResetRelOptions or (
        command.subtype == enums.AlterTableType.AT_SetRelOptions
        and option(settings, "security_invoker") is not None
        and not _is_invoker(settings)
    )


RULES: tuple[Rule, ...] = (
    table_without_rls,
    table_without_forced_rls,
    table_without_tenant_policy,
    table_without_tenant_column,
    table_without_audit,
    rls_off,
    view_without_security_invoker,
    materialized_view_in_public,
    table_from_query,
)
