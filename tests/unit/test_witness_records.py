"""Witnesses in the state file."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wedsync.database import Lsn
from wedsync.drills.witness import (
    LeftOut,
    RowForm,
    Span,
    TableDigest,
    Witness,
    catalogue_of,
    forget_witnesses,
    nearest_witness,
    newest_witness,
    record_witness,
)
from wedsync.migrations import CatalogueObject, Fingerprint
from wedsync.state import StateStore, open_state

NOON = datetime(2026, 6, 13, 12, tzinfo=UTC)
CATALOGUE = Fingerprint(
    objects=(CatalogueObject(kind="policy", name="public.guests.own", relation="public.guests", facts="{}"),)
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateStore]:
    opened = open_state(tmp_path / "state.db")
    yield opened
    opened.close()


def witness(lsn: str, *, minutes: int = 0, timeline: int = 1) -> Witness:
    return Witness(
        at=NOON + timedelta(minutes=minutes),
        system_id="7000",
        timeline=timeline,
        lsn=Lsn.parse(lsn),
        database="wedsync",
        reason="schedule",
        tables=(
            TableDigest(table="public.guests", rows=3, digest="-12", form=RowForm.BINARY),
            TableDigest(
                table='"Odd".t', rows=2, digest="7", form=RowForm.TEXT, span=Span(first=10, end=20), blocks=99
            ),
        ),
        left_out=(LeftOut(table="audit.log", reason="locked"),),
        took_s=1.5,
        waited_s=0.2,
    )


def test_a_witness_is_read_as_it_was_written(state: StateStore) -> None:
    written = record_witness(state, witness("1/A0"), CATALOGUE)
    found = newest_witness(state)
    assert found == written
    assert found is not None
    assert found.rows == 5
    assert catalogue_of(state, found) == CATALOGUE


def test_a_witness_without_its_catalogue_says_so(state: StateStore) -> None:
    assert catalogue_of(state, record_witness(state, witness("1/A0"), None)) is None


def test_the_last_one_between_the_backup_and_the_moment_is_on_the_way(state: StateStore) -> None:
    for lsn, minutes in (("0/F000000", 1), ("1/10", 2), ("1/2000000", 3)):
        record_witness(state, witness(lsn, minutes=minutes), None)

    def found(after: str, minutes: int, *, timeline: int = 1, system: str = "7000") -> str | None:
        nearest = nearest_witness(state, system, timeline, Lsn.parse(after), NOON + timedelta(minutes=minutes))
        return str(nearest.lsn) if nearest else None

    assert found("0/0", 9) == "1/2000000"
    assert found("0/0", 2) == "1/10"  # one taken at the very moment is on the way to it
    assert found("1/10", 2) == "1/10"
    assert found("1/18", 2) is None
    assert found("0/0", 0) is None
    assert found("0/0", 9, timeline=2) is None
    assert found("0/0", 9, system="other") is None


def test_places_sort_beyond_the_signed_integers_of_the_state_file(state: StateStore) -> None:
    for lsn in ("7FFFFFFF/FFFFFFF8", "80000000/10", "FFFFFFFF/0"):
        record_witness(state, witness(lsn), None)
    nearest = nearest_witness(state, "7000", 1, Lsn.parse("80000000/0"), NOON)
    assert nearest is not None
    assert str(nearest.lsn) == "FFFFFFFF/0"


def test_witnesses_go_with_the_window_and_catalogues_with_the_last_witness(state: StateStore) -> None:
    old = record_witness(state, witness("0/10"), CATALOGUE)
    kept = record_witness(state, witness("0/20", minutes=60), CATALOGUE)
    forget_witnesses(state, before=NOON + timedelta(minutes=1))
    assert [row["id"] for row in state.rows("select id from witnesses")] == [kept.id]
    assert catalogue_of(state, old) == CATALOGUE
    forget_witnesses(state, before=NOON + timedelta(days=1))
    assert newest_witness(state) is None
    assert state.rows("select * from witness_catalogues") == []
