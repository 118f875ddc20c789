"""Rules about rights: who may call or change what, and as whom functions run."""

from collections.abc import Iterator
from typing import Any

from pglast import ast, enums

from wedsync.migrations.files.nodes import qualified, roles, schema_of
from wedsync.migrations.files.own_transaction import option
from wedsync.migrations.lint.model import Hit, Level, Rule, rule
from wedsync.migrations.lint.script import Script, Seen

_WRITES = {"insert", "update", "delete", "truncate", "references", "trigger"}


@rule("grant-to-public", Level.ERROR, hint="grant it to the roles that need it: authenticated, service_role")
def grant_to_public(script: Script) -> Iterator[Hit]:
    """PUBLIC is every role there is and will be: anon, monitoring, the next extension's. A grant to it cannot be
    taken back from one of them."""
    for seen, grant in _grants(script):
        if "public" in roles(grant.grantees):
            yield Hit(seen=seen, message="GRANT … TO PUBLIC")


@rule("grant-of-writes-to-anon", Level.ERROR, hint="let it be done by a function that checks, granted to anon")
def grant_of_writes_to_anon(script: Script) -> Iterator[Hit]:
    """anon is everybody on the internet who has the address. What it may write, it will."""
    for seen, grant in _grants(script):
        if grant.objtype == enums.ObjectType.OBJECT_TABLE and "anon" in roles(grant.grantees):
            named = {str(item.priv_name) for item in grant.privileges or () if isinstance(item, ast.AccessPriv)}
            writes = ", ".join(sorted(named & _WRITES)) if grant.privileges else "all"
            if writes:
                yield Hit(seen=seen, message=f"GRANT {writes} to anon")


@rule("definer-without-search-path", Level.ERROR, hint="set search_path = '' and name schemas in the body")
def definer_without_search_path(script: Script) -> Iterator[Hit]:
    """A SECURITY DEFINER function runs with its owner's rights. With the caller's search_path the caller
    decides which tables and operators its body means: their own, made for the purpose."""
    with_path: set[str] = set()
    for seen, function in _functions(script):
        name = qualified(function.funcname)
        if _search_path(function.options) is not None:
            with_path.add(name)
        elif _is_definer(function.options):
            yield Hit(seen=seen, message=f"{name}() is SECURITY DEFINER without search_path")
    for seen, name, actions in _altered_functions(script):
        if _is_definer(actions) and _search_path(actions) is None and name not in with_path:
            yield Hit(
                seen=seen, message=f"{name}() becomes SECURITY DEFINER, and nothing here sets its search_path"
            )


@rule("function-without-search-path", Level.ERROR, hint="set search_path = '' and name schemas in the body")
def function_without_search_path(script: Script) -> Iterator[Hit]:
    """A function means what its search_path makes of its names. With an empty one it means the same in every
    session: in a policy, in a trigger that another schema's function fires, after a restore."""
    for seen, function in _functions(script):
        path = _search_path(function.options)
        if path is None and not _is_definer(function.options):
            yield Hit(seen=seen, message=f"{qualified(function.funcname)}() has no search_path of its own")
        elif path is not None and path != "":
            yield Hit(seen=seen, message=f"{qualified(function.funcname)}() runs with search_path {path}")
    for seen, name, actions in _altered_functions(script):
        if _search_path(actions) not in {None, ""}:
            yield Hit(seen=seen, message=f"{name}() gets another search_path")


@rule("role-past-rls", Level.ERROR, hint="give the role a policy of its own on the tables that it needs")
def role_past_rls(script: Script) -> Iterator[Hit]:
    """BYPASSRLS and SUPERUSER take a role past every policy, and so does membership in a role that has it.
    The callers of the data API, anon and authenticated, are members of nothing."""
    for seen in script.seen:
        match seen.node:
            case ast.CreateRoleStmt(options=tuple() as options) | ast.AlterRoleStmt(options=tuple() as options):
                for name in ("bypassrls", "superuser"):
                    if option(options, name) == "true":
                        yield Hit(seen=seen, message=f"a role gets {name.upper()}")
            case ast.GrantRoleStmt(is_grant=True) as grant:
                callers = roles(grant.grantee_roles) & {"anon", "authenticated", "public"}
                if callers:
                    yield Hit(seen=seen, message=f"{', '.join(sorted(callers))} becomes a member of another role")
            case _:
                pass


@rule("execute-not-revoked", Level.ERROR, hint="revoke execute on function … from public;")
def execute_not_revoked(script: Script) -> Iterator[Hit]:
    """PostgreSQL lets everybody execute a new function. `0001_foundation` revokes that for all that come
    after (ALTER DEFAULT PRIVILEGES), so this only speaks in a directory of migrations that does not."""
    revoked = {
        qualified(item.objname)
        for seen in script.seen
        if isinstance(seen.node, ast.GrantStmt)
        and not seen.node.is_grant
        and "public" in roles(seen.node.grantees)
        for item in seen.node.objects or ()
        if isinstance(item, ast.ObjectWithArgs)
    }
    for seen, function in _functions(script):
        name = qualified(function.funcname)
        if not script.after.execute_is_revoked and name not in revoked:
            yield Hit(seen=seen, message=f"everybody may execute {name}()")


def _grants(script: Script) -> Iterator[tuple[Seen, ast.GrantStmt]]:
    for seen in script.seen:
        match seen.node:
            case ast.GrantStmt(is_grant=True) as grant:
                yield seen, grant
            case ast.AlterDefaultPrivilegesStmt(action=ast.GrantStmt(is_grant=True) as grant):
                yield seen, grant
            case _:
                pass


def _functions(script: Script) -> Iterator[tuple[Seen, ast.CreateFunctionStmt]]:
    for seen in script.seen:
        if isinstance(seen.node, ast.CreateFunctionStmt) and schema_of(qualified(seen.node.funcname)) != "pg_temp":
            yield seen, seen.node


def _altered_functions(script: Script) -> Iterator[tuple[Seen, str, tuple[Any, ...]]]:
    for seen in script.seen:
        match seen.node:
            case ast.AlterFunctionStmt(
                func=ast.ObjectWithArgs(objname=tuple() as name), actions=tuple() as actions
            ):
                yield seen, qualified(name), actions
            case _:
                pass


def _is_definer(options: tuple[Any, ...] | None) -> bool:
    return option(options, "security") == "true"


def _search_path(options: tuple[Any, ...] | None) -> str | None:
    """The search_path that a function gets; `None` if nothing is said of it. What is not a constant is named
    so."""
    for item in options or ():
        match item:
            case ast.DefElem(defname="set", arg=ast.VariableSetStmt(name="search_path") as setting):
                if setting.kind != enums.VariableSetKind.VAR_SET_VALUE:
                    return "of the session"
                return ", ".join(_constant(value) for value in setting.args or ())
            case _:
                pass
    return None


def _constant(value: object) -> str:
    match value:
        case ast.A_Const(val=ast.String(sval=str() as text)):
            return text
        case _:
            return "(not a constant)"


RULES: tuple[Rule, ...] = (
    grant_to_public,
    grant_of_writes_to_anon,
    definer_without_search_path,
    function_without_search_path,
    role_past_rls,
    execute_not_revoked,
)
