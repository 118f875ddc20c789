"""The same rule in other words: what the forms that our lint refuses would cost."""

import time
from collections.abc import Mapping
from typing import Any

from compare import Pairs, measure_pairs
from ground import Caller, Ground, signed_in
from psycopg.rows import TupleRow

FORMS = {
    "= any ((select app.my_couples())::uuid[]), ours": "couple_id = any ((select app.my_couples())::uuid[])",
    "in (select … from couple_members)": (
        "couple_id in (select m.couple_id from couple_members m where m.user_id = (select auth.uid()))"
    ),
    "exists (select … from couple_members)": (
        "exists (select from couple_members m where m.couple_id = contrast.couple_id and m.user_id = auth.uid())"
    ),
    "a function of the row": "app.contrast_sees(couple_id)",
}
_TABLE = """
drop table if exists contrast;
create table contrast as select couple_id, id, rsvp_status from guests
 where couple_id in (select id from couples order by id limit {couples}) or couple_id = '{own}';
create index on contrast (couple_id);
alter table contrast enable row level security;
grant select on contrast to authenticated;
create or replace function app.contrast_sees(couple uuid) returns boolean
    language sql stable security definer set search_path = ''
as $$ select couple = any (app.my_couples()) $$;
grant execute on function app.contrast_sees(uuid) to authenticated;
"""
_QUERY = "select rsvp_status, count(*) from contrast {} group by rsvp_status order by 1"


def contrast(ground: Ground, caller: Caller, *, couples: int, pairs: int) -> tuple[int, dict[str, Pairs]]:
    """All guests that a partner sees, with each form of the policy; gives the table's rows, and the pairs."""
    found: dict[str, Pairs] = {}
    with ground.connect() as ours, ground.connect() as bare:
        ours.execute(_TABLE.format(couples=couples, own=caller.couples[0]).encode())
        ours.execute("vacuum analyze contrast")
        row = ours.execute("select count(*) from contrast").fetchone()
        assert row is not None

        def under_rls(_: Mapping[str, Any]) -> tuple[float, list[TupleRow]]:
            with signed_in(ours, caller):
                began = time.perf_counter()
                rows = ours.execute(_QUERY.format("").encode(), prepare=False).fetchall()
                return (time.perf_counter() - began) * 1000, rows

        def without(_: Mapping[str, Any]) -> tuple[float, list[TupleRow]]:
            with bare.transaction():
                began = time.perf_counter()
                text = _QUERY.format("where couple_id = any(%s)").encode()
                rows = bare.execute(text, (list(caller.couples),), prepare=False).fetchall()
                return (time.perf_counter() - began) * 1000, rows

        for form, condition in FORMS.items():
            ours.execute("drop policy if exists tenant on contrast")
            ours.execute(f"create policy tenant on contrast to authenticated using ({condition})".encode())
            found[form] = measure_pairs(under_rls, without, [{}] * (8 + pairs), what=form)
    return int(row[0]), found
