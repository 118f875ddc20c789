"""How PostgreSQL carries the policies out: asked once a statement, found by index, for every table."""

from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.sql import SQL

from support.isolation import TwoTenants, enter
from support.tenants import SIGN_IN, Table

NOBODYS = {"auth.users", "core_field_definitions"} | SIGN_IN
"""Not read by callers at all, and read as a whole by everybody."""
LEADING = """
select i.relname::text, a.attname::text
  from pg_index x join pg_class i on i.oid = x.indexrelid
  join pg_attribute a on a.attrelid = x.indrelid and a.attnum = x.indkey[0]
"""


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan's nodes, the parents first."""
    return [plan, *(node for part in plan.get("Plans", ()) for node in nodes(part))]


async def plan_of(session: AsyncConnection, table: Table, where: str = "") -> list[dict[str, Any]]:
    explain = SQL("explain (format json) select from {} " + where).format(table.identifier)  # type: ignore[arg-type]
    row = await (await session.execute(explain)).fetchone()
    assert row is not None
    return nodes(row[0][0]["Plan"])


@pytest.mark.parametrize("caller", ["boss", "partner", "florist"])
async def test_policies_are_asked_once_a_statement_and_serve_as_index_conditions(
    two_tenants: TwoTenants, tenant_session: AsyncConnection, caller: str
) -> None:
    await enter(tenant_session, two_tenants, caller)
    # The tables of this test are so small that reading them whole is cheapest. Bitmaps are what serves an OR.
    for way in ("seqscan", "indexscan", "indexonlyscan", "tidscan"):
        await tenant_session.execute(f"set local enable_{way} = off")
    leading = dict(await (await tenant_session.execute(LEADING)).fetchall())
    whole: dict[str, object] = {}
    tried = 0
    for table in two_tenants.schema.tables:
        if table.name in NOBODYS:
            continue
        plan = await plan_of(tenant_session, table)
        parents = {node.get("Parent Relationship") for node in plan}
        assert "SubPlan" not in parents, table.name  # would run for every row
        assert "InitPlan" in parents, table.name
        scans = [node for node in plan if "Scan" in node["Node Type"] and node["Node Type"] != "Bitmap Heap Scan"]
        assert scans, table.name
        for scan in scans:
            # A condition on a later column alone reads the whole index.
            if (
                not scan.get("Index Cond", "")
                .strip("(")
                .startswith(leading.get(scan.get("Index Name"), "?") + " ")
            ):
                whole[table.name] = scan.get("Index Cond") or scan.get("Filter")
        tried += 1
    assert not whole
    assert tried == len(two_tenants.schema.tables) - len(NOBODYS)


async def test_without_the_form_of_our_policies_the_same_plan_has_a_subplan_a_row(
    two_tenants: TwoTenants, tenant_session: AsyncConnection
) -> None:
    await tenant_session.execute("drop policy tenant on guests")
    await tenant_session.execute(
        "create policy tenant on guests as restrictive to authenticated"
        " using (exists (select from couples c where c.id = guests.couple_id))"
    )
    await enter(tenant_session, two_tenants, "boss")
    plan = await plan_of(tenant_session, two_tenants.schema["guests"])
    assert "SubPlan" in {node.get("Parent Relationship") for node in plan}
