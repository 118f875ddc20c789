"""Which changes are the mistake that is taken back; a row that anybody else changed since is a conflict.

Without a word about it, the mistake is every transaction since that deleted some of the rows and added none; but
where several actors deleted, what such a transaction changed besides may be somebody's own work, and only its
deletes are the mistake. With `by` or `transactions` it is what they name, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec
from psycopg.sql import SQL, Composed, Identifier, Literal

from wedsync.rows.compare import Side
from wedsync.rows.outcome import Choice, OnConflict
from wedsync.rows.staged import Staged

CHANGES: Final = Identifier("pg_temp", "ws_changes")
"""What the history knows: table_name, row_key, at, transaction_id, actor, operation, number."""
_MISTAKES: Final = Identifier("pg_temp", "ws_mistakes")
_RECOVERIES: Final = SQL("select transaction_id::text, false from ops.row_recoveries")
"""What earlier recoveries of rows wrote is nobody's own change."""


class ChangeHistory(Protocol):
    """Who changed which rows since a moment."""

    async def fill(self, live: Side, staged: Sequence[Staged], since: datetime) -> None:
        """Insert into `CHANGES` every change of the rows in the staged tables that was committed after `since`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """Whose changes are taken back without asking."""

    by: tuple[str, ...] = ()
    """Actors, as the history calls them."""
    transactions: tuple[str, ...] = ()

    @property
    def is_named(self) -> bool:
        return bool(self.by or self.transactions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What becomes of conflicts."""

    on_conflict: OnConflict = OnConflict.ASK
    choices: tuple[tuple[str, tuple[str, ...], Choice], ...] = ()
    """Table, key and choice of single rows."""


async def read_history(
    live: Side, history: ChangeHistory | None, staged: Sequence[Staged], since: datetime, mistake: Mistake
) -> None:
    """Fill `CHANGES`, and find out which transactions are the mistake."""
    await live.execute(
        SQL(
            "create temporary table {} (table_name text, row_key jsonb, at timestamptz, transaction_id text,"
            " actor text, operation text, number bigint) on commit drop"
        ).format(CHANGES)
    )
    if history is not None and staged:
        await history.fill(live, staged, since)
    await live.execute(SQL("create index on {} (table_name, row_key)").format(CHANGES))
    await live.execute(SQL("analyze {}").format(CHANGES))
    await live.execute(
        SQL("create temporary table {} on commit drop as {} union {}").format(
            _MISTAKES, _transactions(mistake), _RECOVERIES
        )
    )


def _transactions(mistake: Mistake) -> Composed:
    if mistake.is_named:
        return SQL(
            "select distinct transaction_id, false as only_deletes from {} where transaction_id = any ({}::text[])"
            " or lower(actor) = any ({}::text[])"
        ).format(CHANGES, Literal(list(mistake.transactions)), Literal([name.lower() for name in mistake.by]))
    return SQL(
        "select transaction_id, min(min(actor)) over () is distinct from max(max(actor)) over () as only_deletes"
        " from {} group by transaction_id"
        " having bool_or(operation = 'delete') and not bool_or(operation = 'insert')"
    ).format(CHANGES)


async def mark_changed(live: Side, item: Staged) -> None:
    """Mark the rows that somebody else changed since, and those of which nobody knows who did."""
    values = {"diff": item.diff, "changes": CHANGES, "mistakes": _MISTAKES, "name": Literal(item.name)}
    await live.execute(
        SQL(
            "update {diff} d set ws_decision = 'ask', ws_why = 'changed_since',"
            " ws_detail = case d.ws_kind when 'returns' then 'changed before it was deleted'"
            "   when 'changes' then 'changed since' else 'added since' end"
            " where d.ws_why is null and exists ("
            "   select from {changes} c where c.table_name = {name} and c.row_key = d.ws_key"
            "      and not exists (select from {mistakes} m where m.transaction_id = c.transaction_id"
            "                         and (not m.only_deletes or c.operation = 'delete')))"
        ).format(**values)
    )
    await live.execute(
        SQL(
            "update {diff} d set ws_decision = 'ask', ws_why = 'author_unknown',"
            " ws_detail = case d.ws_kind when 'changes' then 'changed since' else 'added since' end"
            "   || ', and the history does not say by whom'"
            " where d.ws_why is null and d.ws_kind <> 'returns' and not exists ("
            "   select from {changes} c where c.table_name = {name} and c.row_key = d.ws_key)"
        ).format(**values)
    )


async def mark_not_as_left(live: Side, item: Staged, recovery: UUID, owner_columns: Sequence[str]) -> None:
    """For an undo: mark the rows that are no longer as the recovery left them.

    Those that are somebody else's by now can only be kept: whose a row is says the first of `owner_columns` that
    the table has.
    """
    kept = SQL(
        " from ops.row_recovery_rows r where r.recovery_id = {} and r.table_name = {} and r.row_key = d.ws_key"
    )
    values = {"diff": item.diff, "kept": kept.format(Literal(recovery), Literal(item.name))}
    owner = next((name for name in owner_columns if name in item.written), None)
    if owner is not None:
        await live.execute(
            SQL(
                "update {diff} d set ws_final = true, ws_decision = 'ask', ws_why = 'somebody_elses',"
                " ws_detail = 'it became somebody else''s row since'"
                " {kept} and d.ws_now_hash is not null and r.belongs_to ->> {name} <> coalesce({now}::text, '')"
            ).format(name=Literal(owner), now=item.before(owner), **values)
        )
    await live.execute(
        SQL(
            "update {diff} d set ws_decision = 'ask', ws_why = 'changed_since',"
            " ws_detail = case when r.after_hash is null then 'added since' when d.ws_now_hash is null"
            "   then 'removed since' else 'changed since' end"
            " {kept} and d.ws_why is null and r.after_hash is distinct from d.ws_now_hash"
        ).format(**values)
    )


async def decide(live: Side, item: Staged, decisions: Decisions) -> None:
    """Apply what was chosen: for all rows in conflict, then for single ones."""
    keep_all = decisions.on_conflict is OnConflict.KEEP
    if decisions.on_conflict is not OnConflict.ASK:
        await live.execute(
            SQL("update {} d set ws_decision = {} where d.ws_why is not null and (not d.ws_final or {})").format(
                item.diff, Literal(decisions.on_conflict.value), Literal(keep_all)
            )
        )
    for choice in Choice:
        keys = [list(key) for table, key, chosen in decisions.choices if table == item.name and chosen is choice]
        if keys:
            await live.execute(
                SQL(
                    "update {} d set ws_decision = {} where d.ws_why is not null and (not d.ws_final or {})"
                    " and array(select jsonb_array_elements_text(d.ws_key))::text[] in"
                    " (select array(select jsonb_array_elements_text(k))"
                    "    from jsonb_array_elements({}::jsonb) as k)"
                ).format(item.diff, Literal(choice.value), Literal(choice is Choice.KEEP), Literal(_as_json(keys)))
            )


def mistaken() -> Composed:
    """The transactions that are taken back whole."""
    return SQL("select transaction_id from {} where not only_deletes").format(_MISTAKES)


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
