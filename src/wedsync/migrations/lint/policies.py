"""Rules about policies: what opens a table, and what makes each query ask once a row."""

from collections.abc import Iterator

from pglast import ast, enums

from wedsync.migrations.files.nodes import is_true, roles, table_name, walk, words
from wedsync.migrations.lint.model import Hit, Level, Rule, rule
from wedsync.migrations.lint.script import Script, Seen

_CALLERS = frozenset({"anon", "authenticated", "public"})
_CHEAP = frozenset({"now", "coalesce", "lower", "upper", "length", "cardinality", "array_length"})


@rule(
    "policy-lets-all-through",
    Level.ERROR,
    hint="say which rows: using (couple_id = any ((select app.my_couples())::uuid[]))",
)
def policy_lets_all_through(script: Script) -> Iterator[Hit]:
    """`USING (true)` or `WITH CHECK (true)` for anon or authenticated leaves the RESTRICTIVE policy as the
    only thing between tenants, and inside a tenant it allows everything to everybody. For service_role it is
    meant."""
    for seen, policy in _policies(script):
        callers = roles(policy.roles) & _CALLERS
        if isinstance(policy, ast.CreatePolicyStmt) and not policy.permissive:
            continue
        if callers and (is_true(policy.qual) or is_true(policy.with_check)):
            yield Hit(
                seen=seen,
                message=f"policy {_called(policy)} lets {', '.join(sorted(callers))} through to every row",
            )


@rule("policy-with-subquery", Level.ERROR, hint="= any ((select a function that gives an array)::uuid[])")
def policy_with_subquery(script: Script) -> Iterator[Hit]:
    """`x in (select …)` and `exists (select …)` in a policy are planned as a filter over every row of the
    table: measured at 190 to 760 times the query without row-level security. An array from one scalar
    sub-select is asked once a statement and lets the index be used: 0.4 to 6 times."""
    for seen, policy in _policies(script):
        slow = [
            node
            for node in walk((policy.qual, policy.with_check))
            if isinstance(node, ast.SubLink) and node.subLinkType != enums.SubLinkType.EXPR_SUBLINK
        ]
        if slow:
            yield Hit(seen=seen, message=f"policy {_called(policy)} asks a table: in (select …) or exists (…)")


@rule("policy-calls-per-row", Level.ERROR, hint="wrap the call: (select auth.uid())")
def policy_calls_per_row(script: Script) -> Iterator[Hit]:
    """A function that stands bare in a policy is called for every row: measured at up to 10,000 times the
    cost. Inside a scalar sub-select, `(select auth.uid())`, it is called once a statement. With a column
    among its arguments even the sub-select is asked once a row."""
    for seen, policy in _policies(script):
        for name in dict.fromkeys(_per_row(policy)):
            yield Hit(seen=seen, message=f"policy {_called(policy)} calls {name} for every row")


def _policies(script: Script) -> Iterator[tuple[Seen, ast.CreatePolicyStmt | ast.AlterPolicyStmt]]:
    for seen in script.seen:
        if isinstance(seen.node, ast.CreatePolicyStmt | ast.AlterPolicyStmt):
            yield seen, seen.node


def _called(policy: ast.CreatePolicyStmt | ast.AlterPolicyStmt) -> str:
    return f"{policy.policy_name} of {table_name(policy.table)}"


def _per_row(policy: ast.CreatePolicyStmt | ast.AlterPolicyStmt) -> Iterator[str]:
    for part in (policy.qual, policy.with_check):
        yield from _bare_calls(part)
        for node in walk(part):
            if isinstance(node, ast.SubLink) and _asks_of_the_row(node, table_name(policy.table)):
                calls = (inner for inner in walk(node.subselect) if isinstance(inner, ast.FuncCall))
                yield from (f"{_function(call)}()" for call in calls)


def _bare_calls(tree: object) -> Iterator[str]:
    """Calls outside of every sub-select, but for a few of PostgreSQL's own that cost nothing."""
    if isinstance(tree, ast.SubLink):
        yield from _bare_calls(tree.testexpr)
    elif isinstance(tree, ast.Node):
        if isinstance(tree, ast.FuncCall) and not _is_cheap(tree):
            yield f"{_function(tree)}()"
        for name in tree:
            yield from _bare_calls(getattr(tree, name))
    elif isinstance(tree, tuple):
        for part in tree:  # pyright: ignore[reportUnknownVariableType] - lists of a tree hold anything
            yield from _bare_calls(part)  # pyright: ignore[reportUnknownArgumentType]


def _asks_of_the_row(link: ast.SubLink, table: str) -> bool:
    """Whether a scalar sub-select names a column of the policy's table: with no FROM there is no other."""
    if link.subLinkType != enums.SubLinkType.EXPR_SUBLINK or not isinstance(link.subselect, ast.SelectStmt):
        return False
    bare = table.partition(".")[2]
    columns = [words(node.fields) for node in walk(link.subselect) if isinstance(node, ast.ColumnRef)]
    return any(link.subselect.fromClause is None or bare in column[:-1] for column in columns)


def _function(call: ast.FuncCall) -> str:
    return ".".join(words(call.funcname))


def _is_cheap(call: ast.FuncCall) -> bool:
    *schema, name = words(call.funcname)
    return schema in ([], ["pg_catalog"]) and name in _CHEAP


RULES: tuple[Rule, ...] = (policy_lets_all_through, policy_with_subquery, policy_calls_per_row)
