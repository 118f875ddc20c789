"""What recording every change costs a writer, beside the same writes without it, in the same run by turns.

    python bench/audit.py 'host=/run/… port=54329 dbname=scratch user=wedsync_owner' [ROUNDS]

Give it a scratch database (the schema is applied if it is missing). One client writes guests: transactions of one
row, then statements of 1,000 rows. "Without" has the triggers of the history switched off, nothing else. Each
round does both, the first of them by turns; what is printed are medians of all rounds: what the writer waits, and
the processor time of the server's process, which does not depend on what else the machine does (so run it on the
server's own host). A third word `off` switches synchronous_commit off.
"""

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psycopg

ROWS = 300
MANY = 1000
INSERT = (
    "insert into guests (couple_id, id, first_name, last_name, email, phone, side, relationship, dietary_notes,"
    " table_number) values (%s, %s, 'Ada', 'Lovelace-Byron', 'ada.lovelace@example.com', '+44 20 7946 0000',"
    " 'both', 'friend', 'Vegetarian, no nuts please', 5)"
)
INSERT_MANY = (
    "insert into guests (couple_id, first_name, last_name, email, phone, side, relationship, dietary_notes,"
    " table_number) select %s, 'Ada', 'Lovelace-Byron', 'ada.lovelace@example.com', '+44 20 7946 0000', 'both',"
    " 'friend', 'Vegetarian, no nuts please', 5 from generate_series(1, 1000)"
)
UPDATE = "update guests set rsvp_status = 'accepted', table_number = 7 where couple_id = %s"
DELETE = "delete from guests where couple_id = %s"
EVENTS = ("insert", "update", "delete", "truncate")


def switch(connection: psycopg.Connection, *, recorded: bool) -> None:
    """Triggers of the history on or off, and the ground as it was."""
    for event in EVENTS:
        connection.execute(
            f"alter table guests {'enable' if recorded else 'disable'} trigger audit_{event}".encode()
        )


def timed(connection: psycopg.Connection, work: Callable[[], object], *, rows: int) -> tuple[float, float]:
    """Microseconds a row: by the clock, and of the processor (the kernel counts nanoseconds)."""
    process = Path(f"/proc/{connection.info.backend_pid}/schedstat")

    def processor() -> float:
        return int(process.read_text().split()[0]) / 1000 if process.exists() else float("nan")

    began, started = processor(), time.perf_counter()
    work()
    return (time.perf_counter() - started) / rows * 1e6, (processor() - began) / rows


Measured = dict[str, tuple[float, float]]


def together(name: str, found: Measured) -> Measured:
    clock, processor = zip(*found.values(), strict=True)
    return found | {name: (sum(clock), sum(processor))}


def singles(connection: psycopg.Connection, couple: str) -> Measured:
    """Transactions of one row."""
    keys = [uuid4() for _ in range(ROWS)]
    found: Measured = {}

    def each(statement: str) -> None:
        for key in keys:
            connection.execute(statement.encode(), (couple, key), prepare=True)

    for name, statement in (
        ("insert", INSERT),
        ("update", UPDATE + " and id = %s"),
        ("delete", DELETE + " and id = %s"),
    ):
        found[f"{name}, one row"] = timed(connection, lambda statement=statement: each(statement), rows=ROWS)
    return together("one row, the three together", found)


def many(connection: psycopg.Connection, couple: str) -> Measured:
    """Statements of 1,000 rows."""
    found: Measured = {}
    for name, statement in (("insert", INSERT_MANY), ("update", UPDATE), ("delete", DELETE)):
        found[f"{name}, 1,000 rows"] = timed(
            connection, lambda statement=statement: connection.execute(statement.encode(), (couple,)), rows=MANY
        )
    return together("1,000 rows, the three together", found)


def main(dsn: str, rounds: int, *, durable: bool) -> None:
    taken: dict[bool, dict[str, list[tuple[float, float]]]] = {True: defaultdict(list), False: defaultdict(list)}
    with psycopg.connect(dsn, autocommit=True) as connection:
        organization, couple = str(uuid4()), str(uuid4())
        connection.execute(
            "insert into organizations (id, name, slug) values (%s, 'Bench', %s)",
            (organization, f"b-{couple[:8]}"),
        )
        connection.execute(
            "insert into couples (id, organization_id, partner_one_name, partner_two_name, wedding_date,"
            " time_zone) values (%s, %s, 'A', 'B', current_date + 365, 'Europe/London')",
            (couple, organization),
        )
        connection.execute(f"set synchronous_commit = {'on' if durable else 'off'}".encode())
        for number in range(rounds + 1):
            for recorded in (True, False) if number % 2 else (False, True):
                switch(connection, recorded=recorded)
                measured = singles(connection, couple) | many(connection, couple)
                if number:  # the first round warms up
                    for name, value in measured.items():
                        taken[recorded][name].append(value)
            connection.execute("vacuum guests")
        switch(connection, recorded=True)
        connection.execute("delete from couples where id = %s", (couple,))
        connection.execute("delete from organizations where id = %s", (organization,))
        size = connection.execute(
            "select sum(pg_total_relation_size(inhrelid)) / (select count(*) + 1 from audit.record_version)"
            " from pg_inherits where inhparent = 'audit.record_version'::regclass"
        ).fetchone()
    print(f"medians of {rounds} rounds, µs a row; synchronous_commit {'on' if durable else 'off'}")
    print(f"{'':32}{'waited':>9}{'recorded':>9}{'ratio':>7}{'processor':>12}{'recorded':>9}{'ratio':>7}")
    for name in taken[True]:
        line = f"{name:32}"
        for kind, width in ((0, 9), (1, 12)):
            without, recorded_us = (
                statistics.median(value[kind] for value in taken[recorded][name]) for recorded in (False, True)
            )
            line += f"{without:{width}.1f}{recorded_us:9.1f}{recorded_us / without:7.2f}"
        print(line)
    print(f"a version takes {size[0] if size else 0:.0f} bytes with its indexes")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 9, durable="off" not in sys.argv[3:])
