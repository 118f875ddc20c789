"""What a statement did to the tables that were there before it: locks, rewrites, scans, index builds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from wedsync.words import size_words

LOCKS = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
"""From the weakest to the strongest (PostgreSQL manual, 13.3.1)."""
_WORDS = MappingProxyType(
    {
        "AccessShareLock": "ACCESS SHARE",
        "RowShareLock": "ROW SHARE",
        "RowExclusiveLock": "ROW EXCLUSIVE",
        "ShareUpdateExclusiveLock": "SHARE UPDATE EXCLUSIVE",
        "ShareLock": "SHARE",
        "ShareRowExclusiveLock": "SHARE ROW EXCLUSIVE",
        "ExclusiveLock": "EXCLUSIVE",
        "AccessExclusiveLock": "ACCESS EXCLUSIVE",
    }
)
_INDEX_KINDS = frozenset({"i", "I"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A relation as the catalogue has it at one moment."""

    oid: int
    name: str
    """Qualified and quoted."""
    schema: str
    bare_name: str
    kind: str
    """`relkind` of pg_class."""
    table_oid: int
    """Of an index: its table; else 0."""
    filenode: int

    @property
    def is_index(self) -> bool:
        return self.kind in _INDEX_KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A relation that a transaction holds locks on, as the transaction sees it."""

    oid: int
    name: str | None
    kind: str
    table_oid: int
    filenode: int
    dropped: bool
    """This very transaction dropped it: nothing but its oid is known."""
    scans: int
    """Times that this transaction read it from end to end."""
    modes: Sequence[str]

    @property
    def is_index(self) -> bool:
        return self.kind in _INDEX_KINDS

    @property
    def strongest(self) -> int:
        """Place of the strongest lock in `LOCKS`."""
        return max(LOCKS.index(mode) for mode in self.modes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much a table holds where it is in use."""

    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What one statement does to one relation that was there before the run."""

    table: str
    lock: str
    """The strongest that the transaction holds on it after the statement."""
    held_before: bool = False
    """An earlier statement took the lock already."""
    rewritten: bool = False
    scanned: bool = False
    dropped: bool = False
    indexes: tuple[str, ...] = ()
    """Indexes that are built over its rows."""

    def sentence(self, size: Size | None) -> str:
        """`ACCESS EXCLUSIVE on public.guests (1.2 M rows, 310.0 MB), rewrites it`."""
        held = "" if size is None else f" ({rows_words(size.rows)}, {size_words(size.size_bytes)})"
        parts = [f"{'still ' if self.held_before else ''}{self.lock} on {self.table}{held}"]
        if self.dropped:
            parts.append("drops it")
        elif self.rewritten:
            parts.append("rewrites it")
        elif self.scanned and not self.indexes:
            parts.append("reads all of it")
        parts += [f"builds {index}" for index in self.indexes]
        return ", ".join(parts)

    def to_json(self, size: Size | None) -> dict[str, object]:
        return {
            "table": self.table,
            "lock": self.lock,
            "held_before": self.held_before,
            "rewritten": self.rewritten,
            "scanned": self.scanned,
            "dropped": self.dropped,
            "indexes": list(self.indexes),
            "rows": None if size is None else size.rows,
            "bytes": None if size is None else size.size_bytes,
        }


class Observer:
    """Compares what a transaction holds after each of its statements; knows what was there before the run."""

    def __init__(self, existing: Iterable[Relation]) -> None:
        self._existing = {it.oid: it for it in existing}
        self._filenodes = {it.oid: it.filenode for it in self._existing.values()}
        self._built = {it.oid for it in self._existing.values() if it.is_index}
        self._held: dict[int, int] = {}
        self._scans: dict[int, int] = {}
        self._dropped: set[int] = set()

    def new_transaction(self) -> None:
        """Locks and counts begin anew."""
        self._held.clear()
        self._scans.clear()

    def after(self, sample: Sequence[Held]) -> tuple[Touched, ...]:
        """What the statement since the last sample did; the strongest lock first."""
        news = _News()
        for it in sample:
            self._compare(it, news)
        told = [oid for oid in news.oids() if not self._is_told_by_its_table(oid, news)]
        told.sort(key=lambda oid: (-self._held[oid], self._existing[oid].name))
        return tuple(
            Touched(
                table=self._existing[oid].name,
                lock=_WORDS[LOCKS[self._held[oid]]],
                held_before=oid not in news.locked,
                rewritten=oid in news.rewritten,
                scanned=oid in news.scanned,
                dropped=oid in news.dropped,
                indexes=tuple(sorted(news.built.get(oid, ()))),
            )
            for oid in told
        )

    def _compare(self, it: Held, news: "_News") -> None:
        if it.is_index and it.table_oid in self._existing and self._is_built(it) and it.name is not None:
            news.built.setdefault(it.table_oid, []).append(it.name)
        if it.oid not in self._existing:
            return
        if self._held.get(it.oid, -1) < it.strongest:
            self._held[it.oid] = it.strongest
            news.locked.add(it.oid)
        if it.dropped:
            if it.oid not in self._dropped:
                self._dropped.add(it.oid)
                news.dropped.add(it.oid)
            return
        if self._filenodes[it.oid] != it.filenode:
            self._filenodes[it.oid] = it.filenode
            if not it.is_index:
                news.rewritten.add(it.oid)
        if self._scans.get(it.oid, 0) < it.scans and not it.is_index:
            news.scanned.add(it.oid)
        self._scans[it.oid] = it.scans

    def _is_built(self, index: Held) -> bool:
        """Whether this index was made, or made anew, since the last sample."""
        if index.oid in self._built:
            return index.oid in self._filenodes and index.filenode not in {0, self._filenodes[index.oid]}
        self._built.add(index.oid)
        return True

    def _is_told_by_its_table(self, oid: int, news: "_News") -> bool:
        """Whether an index needs no line: its table has one, with a lock at least as strong."""
        it = self._existing[oid]
        if not it.is_index or (oid in news.dropped and it.table_oid not in news.dropped):
            return False
        return self._held.get(it.table_oid, -1) >= self._held[oid]


class _News:
    """What a sample shows that the one before did not."""

    def __init__(self) -> None:
        self.locked: set[int] = set()
        self.rewritten: set[int] = set()
        self.scanned: set[int] = set()
        self.dropped: set[int] = set()
        self.built: dict[int, list[str]] = {}

    def oids(self) -> set[int]:
        return self.locked | self.rewritten | self.scanned | self.dropped | self.built.keys()


def rows_words(rows: int) -> str:
    """A number of rows: `1.2 M rows`."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if rows >= size:
            return f"{rows / size:.1f} {unit} rows"
    return "1 row" if rows == 1 else f"{rows} rows"
