"""The statement that opens a batch: become a role and set what holds for the transaction."""

import re
from functools import lru_cache

from wedsync.database.pipeline.work import Work

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def settings_of(work: Work) -> tuple[bytes, list[bytes | None]]:
    """The SQL and parameters that set up the transaction of `work`; one SQL for each list of names.

    Values are parameters: a caller's claims never reach the SQL. Read-only is only ever switched on, since
    a standby and a transaction that is read-only by default refuse to switch it off.
    """
    values: list[bytes | None] = [work.role.encode(), b"%d" % work.statement_timeout_ms]
    names: list[str] = []
    for name, value in work.settings:
        names.append(name)
        values.append(value)
    return _settings_sql(tuple(names), work.read_only), values


@lru_cache(maxsize=256)
def _settings_sql(names: tuple[str, ...], read_only: bool) -> bytes:
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a setting")
    calls = ["set_config('transaction_read_only','on',true)"] if read_only else []
    for place, name in enumerate(("role", "statement_timeout", *names), start=1):
        calls.append(f"set_config('{name}',${place},true)")
    return ("select " + ",".join("pg_catalog." + call for call in calls)).encode()
