"""Positions in the WAL and connection targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.database import ConnectionTarget, Lsn
from wedsync.errors import ConfigProblem

positions = st.integers(min_value=0, max_value=(1 << 64) - 1)


@given(positions)
def test_a_position_reads_back_what_it_writes(position: int) -> None:
    assert Lsn.parse(str(Lsn(position))) == Lsn(position)


@given(positions, positions)
def test_positions_order_and_subtract_as_numbers(first: int, second: int) -> None:
    assert (Lsn(first) < Lsn(second)) is (first < second)
    assert Lsn(first) - Lsn(second) == first - second


def test_a_position_is_written_as_postgresql_does() -> None:
    assert str(Lsn.parse("0/3000028")) == "0/3000028"
    assert str(Lsn.parse("1A/ff")) == "1A/FF"
    assert Lsn.parse("1/0") - Lsn.parse("0/FFFFFFFF") == 1


@pytest.mark.parametrize("text", ["", "0", "0/", "/1", "x/1", "0/123456789", "-1/0", "0x1/0", "1_0/0", "0/1/2"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no WAL position"):
        Lsn.parse(text)


@pytest.mark.parametrize(
    ("lsn", "timeline", "name"),
    [
        ("0/3000028", 1, "000000010000000000000003"),
        ("0/3000000", 1, "000000010000000000000003"),
        ("1/FF000000", 10, "0000000A00000001000000FF"),
        ("2/0", 1, "000000010000000200000000"),
    ],
)
def test_the_segment_file_that_holds_a_position(lsn: str, timeline: int, name: str) -> None:
    assert Lsn.parse(lsn).segment_file(timeline) == name


def test_larger_segments_have_fewer_to_a_log_file() -> None:
    assert Lsn.parse("1/40000000").segment_file(1, segment_bytes=1 << 30) == "000000010000000100000001"


@pytest.mark.parametrize("dsn", ["service=weddings", "postgresql://u@a:1,b:2/db", "host=a,b"])
def test_a_dsn_without_one_host_is_refused(dsn: str) -> None:
    with pytest.raises(ConfigProblem, match="service or several hosts"):
        ConnectionTarget.from_dsn(dsn)


SECRET = "p@ss/w:rd ü"


def target(host: str = "db.example", **further: object) -> ConnectionTarget:
    return ConnectionTarget(
        host=host,
        port=5433,
        dbname="wed sync",
        user="o@wner",
        password=SECRET,
        **further,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("host", ["db.example", "127.0.0.1", "::1", "/run/wed sync"])
def test_a_url_reads_back_as_the_same_target(host: str) -> None:
    given_target = target(host, sslmode="verify-full", sslrootcert="/a b/ca.crt")
    assert ConnectionTarget.from_dsn(given_target.dsn(with_password=True)) == given_target


def test_no_text_form_shows_the_password() -> None:
    shown = [repr(target()), str(target()), target().dsn(with_password=False), f"{target()}"]
    assert not any("p@ss" in text or "p%40ss" in text for text in shown)


def test_key_value_words_and_other_parameters_are_kept() -> None:
    found = ConnectionTarget.from_dsn("host=h user=u passfile=/x target_session_attrs=read-write")
    assert (found.host, found.port, found.dbname) == ("h", 5432, "u")
    assert found.parameters()["target_session_attrs"] == "read-write"
    assert found.parameters()["passfile"] == "/x"


@pytest.mark.parametrize(
    "dsn", ["postgresql://u:hunter2@h:port/db", "host=h password='hunter2", "nonsense hunter2=1"]
)
def test_a_malformed_dsn_is_refused_without_repeating_it(dsn: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        ConnectionTarget.from_dsn(dsn)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__
