"""Conditions that undo a write when they do not hold, found out inside the statement itself.

They must work on any PostgreSQL, with nothing installed: a text that is no number is cast to one. The error quotes
the text, in whatever language the server speaks, and the transaction is undone like after any other error.
"""

import re

from wedsync.api.rest.errors import RestError, max_affected_exceeded, not_singular, put_key_mismatch
from wedsync.api.rest.plan.sql import Sql, compose, number

ANY_NUMBER = compose("count(*)")
ONE_OBJECT = compose("case when count(*) = 1 then 1 else ('PGRST116 affected ' || count(*))::bigint end")
"""The result is one object."""
ONE_KEY = compose("case when count(*) = 1 then 1 else ('PGRST115 affected ' || count(*))::bigint end")
"""The row that was put has the key of the address."""
REFUSAL_SQLSTATE = "22P02"
_REFUSAL = re.compile(r'"(PGRST\d{3}) affected (\d+)"')


def at_most(rows: int) -> Sql:
    """No more than so many rows are affected."""
    return compose(
        "case when count(*) <= {} then count(*) else ('PGRST124 affected ' || count(*))::bigint end", number(rows)
    )


def refusal(message: str) -> RestError | None:
    """What a guard says with this message of PostgreSQL's; `None` if it is of none."""
    found = _REFUSAL.search(message)
    if found is None:
        return None
    code, rows = found[1], int(found[2])
    if code == "PGRST115":
        return put_key_mismatch()
    return max_affected_exceeded(rows) if code == "PGRST124" else not_singular(rows)
