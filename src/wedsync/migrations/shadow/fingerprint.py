"""What a database's catalogue says, in a form that two databases can be compared by.

Everything that SQL can set about schemas, tables, columns, constraints, indexes, functions, triggers,
policies, grants and the rest, without oids, file names or rows. What belongs to the whole server (roles,
tablespaces, settings of databases) is not in it, nor what an extension brought along.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from wedsync.database import ConnectionTarget
from wedsync.sql import statements

_SHOWN = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueObject:
    """One object of a database and the facts about it."""

    kind: str
    """Such as `table`, `column`, `policy`, `default privileges`."""
    name: str
    """Qualified: `public.guests.name` for a column."""
    relation: str | None
    """The table, view or sequence that it is or belongs to."""
    facts: str
    """JSON object, in PostgreSQL's canonical form of `jsonb`."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """A catalogue at one moment, its objects by kind and name."""

    objects: tuple[CatalogueObject, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all of it, in hex: equal for equal catalogues."""
        written = hashlib.sha256()
        for it in self.objects:
            written.update(json.dumps([it.kind, it.name, it.facts]).encode() + b"\n")
        return written.hexdigest()

    def without(self, names: Collection[str]) -> "Fingerprint":
        """The same without some relations (and all that belongs to them), functions or other objects."""
        return Fingerprint(
            objects=tuple(it for it in self.objects if it.name not in names and it.relation not in names)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An object that two catalogues do not have alike."""

    subject: str
    """Kind and name of the object."""
    before: Mapping[str, object] | None
    """The facts that differ, as they are in the first catalogue; `None`: it has no such object."""
    after: Mapping[str, object] | None

    def sentence(self) -> str:
        """What differs, in a line."""
        if self.before is None:
            return f"{self.subject} is new"
        if self.after is None:
            return f"{self.subject} is gone"
        parts = (
            f"{fact} was {fact_words(self.before.get(fact))}, is {fact_words(self.after.get(fact))}"
            for fact in sorted(self.before.keys() | self.after.keys())
        )
        return f"{self.subject}: {'; '.join(parts)}"

    def to_json(self) -> dict[str, object]:
        return {"object": self.subject, "before": self.before, "after": self.after}


async def read_fingerprint(target: ConnectionTarget) -> Fingerprint:
    """The catalogue of a database now; needs no rights but to connect."""
    async with await target.connect() as connection:
        return await fingerprint_of(connection)


async def fingerprint_of(connection: AsyncConnection[TupleRow]) -> Fingerprint:
    """The same over a connection that is there, which may be inside a transaction (it sees that one's changes).

    Outside one it takes a snapshot of its own; settings made for it end with it.
    """
    sql = statements("fingerprint")
    async with connection.transaction(force_rollback=True):
        await connection.execute(sql["steady_session"])
        cursor = await connection.execute(sql["catalogue"])
        rows = await cursor.fetchall()
    return Fingerprint(
        objects=tuple(
            CatalogueObject(kind=kind, name=name, relation=relation, facts=facts)
            for kind, name, relation, facts in rows
        )
    )


def differences(before: Fingerprint, after: Fingerprint) -> tuple[Difference, ...]:
    """Every object that differs, by kind and name.

    What belongs to a relation that only one of the two has is left out: the relation itself is named.
    """
    old, new = ({str(it): it for it in side.objects} for side in (before, after))
    found = [
        _difference(key, old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if key not in old or key not in new or old[key].facts != new[key].facts
    ]
    whole = {_name_of(it, old, new) for it in found if it.before is None or it.after is None}
    return tuple(
        it for it in found if (it.before is not None and it.after is not None) or not _is_part(it, old, new, whole)
    )


def _difference(key: str, before: CatalogueObject | None, after: CatalogueObject | None) -> Difference:
    if before is None or after is None:
        return Difference(
            subject=key,
            before=None if before is None else json.loads(before.facts),
            after=None if after is None else json.loads(after.facts),
        )
    old, new = json.loads(before.facts), json.loads(after.facts)
    changed = sorted(fact for fact in old.keys() | new.keys() if old.get(fact) != new.get(fact))
    return Difference(
        subject=key,
        before={fact: old.get(fact) for fact in changed},
        after={fact: new.get(fact) for fact in changed},
    )


def _name_of(it: Difference, old: Mapping[str, CatalogueObject], new: Mapping[str, CatalogueObject]) -> str:
    return (old.get(it.subject) or new[it.subject]).name


def _is_part(
    it: Difference,
    old: Mapping[str, CatalogueObject],
    new: Mapping[str, CatalogueObject],
    whole: Collection[str],
) -> bool:
    found = old.get(it.subject) or new[it.subject]
    return found.relation is not None and found.relation != found.name and found.relation in whole


def fact_words(value: object) -> str:
    """A fact, cut to what fits a line."""
    if value is None:
        return "nothing"
    text = " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
