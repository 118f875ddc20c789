"""In which order migrations run: by number, and after what they depend on."""

import heapq
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from wedsync.migrations.files.migration import MigrationFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """A file that should have run before one that is applied."""

    file: MigrationFile
    after: MigrationFile
    """The newest of those that are applied and come after it."""
    needed_by: MigrationFile | None
    """One that is applied and depends on it: no order can put this right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownDependency:
    """A file that depends on one that is not there."""

    file: MigrationFile
    named: str
    meant: MigrationFile | None
    """The file with the number that it names."""


def run_order(files: Sequence[MigrationFile], applied: Collection[int] = ()) -> tuple[MigrationFile, ...]:
    """The files that are not `applied` (by number) in the order they run; the lowest number goes first where
    dependencies leave a choice.

    Each comes after all it depends on, so nothing else is to be checked for a late file. Files with
    cycles have no order and come by number: ask `cycles` first.
    """
    return tuple(file for file in _ordered(files) if file.number not in applied)


def late(files: Sequence[MigrationFile], applied: Collection[int]) -> tuple[Late, ...]:
    """The files that are not applied, though one that comes after them is; in the order they would run."""
    found: list[Late] = []
    after: MigrationFile | None = None
    for file in reversed(_ordered(files)):
        if file.number in applied:
            after = after or file
        elif after is not None:
            needed_by = next((f for f in files if f.number in applied and file.id in f.options.depends), None)
            found.append(Late(file=file, after=after, needed_by=needed_by))
    return tuple(reversed(found))


def cycles(files: Sequence[MigrationFile]) -> tuple[tuple[MigrationFile, ...], ...]:
    """Files that wait for each other: each depends on the next, the last on the first."""
    by_id = {file.id: file for file in files}
    waiting = _graph(files)
    found: list[tuple[MigrationFile, ...]] = []
    while (cycle := _first_cycle(waiting)) is not None:
        first = cycle.index(min(cycle))
        found.append(tuple(by_id[name] for name in (*cycle[first:], *cycle[:first])))
        waiting = {name: needed - set(cycle) for name, needed in waiting.items() if name not in cycle}
    return tuple(found)


def unknown_dependencies(files: Sequence[MigrationFile]) -> tuple[UnknownDependency, ...]:
    """What files depend on without there being such a file."""
    by_id = {file.id: file for file in files}
    by_number = {file.number: file for file in files}
    return tuple(
        UnknownDependency(file=file, named=named, meant=by_number.get(int(named[:4])))
        for file in files
        for named in file.options.depends
        if named not in by_id
    )


def _ordered(files: Sequence[MigrationFile]) -> list[MigrationFile]:
    sorter = TopologicalSorter(_graph(files))
    try:
        sorter.prepare()
    except CycleError:
        return sorted(files, key=lambda file: file.id)
    return list(_by_number({file.id: file for file in files}, sorter))


def _by_number(by_id: dict[str, MigrationFile], sorter: TopologicalSorter[str]) -> Iterator[MigrationFile]:
    ready: list[str] = []  # ids begin with four digits: they sort by number
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, name)
        first = heapq.heappop(ready)
        yield by_id[first]
        sorter.done(first)


def _graph(files: Sequence[MigrationFile]) -> dict[str, set[str]]:
    known = {file.id for file in files}
    return {file.id: set(file.options.depends) & known for file in files}


def _first_cycle(waiting: dict[str, set[str]]) -> list[str] | None:
    try:
        TopologicalSorter({name: sorted(waiting[name]) for name in sorted(waiting)}).prepare()
    except CycleError as error:
        *cycle, _ = error.args[1]  # its first again; each is needed by the next
        return list(reversed(cycle))
    return None
