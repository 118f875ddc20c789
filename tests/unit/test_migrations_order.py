"""Numbers and dependencies: the order of a run, late files, cycles."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.migrations.files.header import Options
from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.files.order import cycles, late, run_order, unknown_dependencies


def files(depends: Mapping[int, Sequence[int]]) -> list[MigrationFile]:
    """Files by number with the numbers they depend on."""
    return [
        MigrationFile(
            number=number,
            name=f"m{number}",
            text="select 1;\n",
            raw_checksum="",
            options=Options(depends=tuple(f"{n:04d}_m{n}" for n in needed)),
        )
        for number, needed in depends.items()
    ]


def numbers(found: Sequence[MigrationFile]) -> list[int]:
    return [file.number for file in found]


@pytest.mark.parametrize(
    ("depends", "applied", "order"),
    [
        ({}, [], []),
        ({3: [], 1: [], 2: []}, [], [1, 2, 3]),
        ({1: [], 2: [], 3: []}, [1, 2], [3]),
        ({1: [], 2: [4], 3: [], 4: []}, [], [1, 3, 4, 2]),
        ({1: [5], 2: [], 3: [], 5: [3]}, [], [2, 3, 5, 1]),
        ({1: [9], 2: []}, [], [1, 2]),  # unknown: a problem of its own
        ({1: [], 2: [4], 3: [], 4: []}, [1, 3, 4], [2]),
        ({1: [], 2: [], 3: []}, [3], [1, 2]),
    ],
)
def test_files_run_by_number_and_after_what_they_depend_on(
    depends: dict[int, list[int]], applied: list[int], order: list[int]
) -> None:
    assert numbers(run_order(files(depends), applied)) == order


@pytest.mark.parametrize(
    ("depends", "applied", "expected"),
    [
        ({1: [], 2: [], 3: []}, [1, 2], []),
        ({1: [], 2: [], 3: []}, [1, 3], [(2, 3, None)]),
        ({1: [], 2: [], 3: [], 4: []}, [3, 4], [(1, 4, None), (2, 4, None)]),
        ({1: [], 2: [4], 3: [], 4: []}, [1, 3, 4], []),  # its number is lower, its turn is later
        ({1: [], 2: [4], 3: [], 4: []}, [1, 4], [(3, 4, None)]),
        ({1: [], 2: [1], 3: []}, [2], [(1, 2, 2)]),
        ({1: [], 2: []}, [1, 2, 9], []),  # 9 is missing from the files: a problem of its own
    ],
)
def test_a_file_is_late_when_one_that_comes_after_it_is_applied(
    depends: dict[int, list[int]], applied: list[int], expected: list[tuple[int, int, int | None]]
) -> None:
    found = late(files(depends), applied)
    assert [
        (one.file.number, one.after.number, one.needed_by.number if one.needed_by else None) for one in found
    ] == expected


@pytest.mark.parametrize(
    ("depends", "expected"),
    [
        ({1: [], 2: [1], 3: [2]}, []),
        ({1: [1]}, [[1]]),
        ({1: [2], 2: [1]}, [[1, 2]]),
        ({1: [3], 2: [1], 3: [2], 4: [1]}, [[1, 3, 2]]),
        ({1: [2], 2: [1], 3: [4], 4: [3]}, [[1, 2], [3, 4]]),
    ],
)
def test_cycles_are_named_whole(depends: dict[int, list[int]], expected: list[list[int]]) -> None:
    found = cycles(files(depends))
    assert sorted(numbers(cycle) for cycle in found) == expected


def test_an_unknown_dependency_is_told_with_the_file_that_may_be_meant() -> None:
    (here, there) = files({1: [], 2: [7]})
    wrong = MigrationFile(number=3, name="m3", text="", raw_checksum="", options=Options(depends=("0001_other",)))
    found = unknown_dependencies([here, there, wrong])
    assert [(u.file.number, u.named, u.meant) for u in found] == [(2, "0007_m7", None), (3, "0001_other", here)]


GRAPHS = st.integers(0, 9).flatmap(
    lambda n: st.tuples(
        st.fixed_dictionaries({k: st.lists(st.integers(1, max(n, 1)), max_size=3) for k in range(1, n + 1)}),
        st.randoms(use_true_random=False),
    )
)


@given(GRAPHS)
def test_the_order_has_every_file_once_after_what_it_needs_and_does_not_depend_on_the_listing(drawn) -> None:  # type: ignore[no-untyped-def]
    depends, random = drawn
    listed = files(depends)
    order = run_order(listed)
    assert sorted(numbers(order)) == sorted(depends)
    random.shuffle(listed)
    assert run_order(listed) == order
    found = cycles(listed)
    for cycle in found:
        following = [*cycle[1:], cycle[0]]
        assert all(after.id in file.options.depends for file, after in zip(cycle, following, strict=True))
    if not found:
        place = {file.number: at for at, file in enumerate(order)}
        for number, needed in depends.items():
            assert all(place[n] < place[number] for n in needed)
        # no file could come earlier in place of one with a higher number
        for at, file in enumerate(order):
            ready = [f for f in order[at:] if all(place[int(d[:4])] < at for d in f.options.depends)]
            assert file.number == min(numbers(ready))


@given(GRAPHS, st.data())
def test_a_run_that_stopped_half_way_leaves_no_file_late(drawn, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    depends, _ = drawn
    listed = files(depends)
    order = numbers(run_order(listed))
    done = order[: data.draw(st.integers(0, len(order)))]
    assert late(listed, done) == ()
    assert [*done, *numbers(run_order(listed, done))] == order
