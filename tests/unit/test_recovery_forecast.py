"""How long a recovery will take, from what past ones took."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.recovery import Forecast, Measurement, Phase, forecast
from wedsync.recovery.forecast import MODELS, RECOVERY_PHASES

MB = 1_000_000


def run_of(slowness: float, *, size_bytes: int, segments: int, wal_bytes: int) -> list[Measurement]:
    """The phases of a recovery on a machine that is so many times slower than the model's."""
    sizes = {Phase.RESTORE: (size_bytes, 0), Phase.REPLAY: (wal_bytes, segments)}
    return [
        Measurement(
            phase=phase,
            size_bytes=sizes.get(phase, (0, 0))[0],
            units=sizes.get(phase, (0, 0))[1],
            took_s=slowness
            * MODELS[phase].seconds(size_bytes=sizes.get(phase, (0, 0))[0], units=sizes.get(phase, (0, 0))[1]),
        )
        for phase in RECOVERY_PHASES
    ]


def job(history: list[Measurement], size_bytes: int = 400 * MB, segments: int = 30) -> Forecast:
    return forecast(database_bytes=size_bytes, wal_segments=segments, wal_bytes=segments * 4 * MB, history=history)


def test_without_a_history_the_model_alone_speaks_and_the_range_is_wide() -> None:
    found = job([])
    assert found.runs == 0
    assert found.low_s == pytest.approx(found.total_s / 2)
    assert found.high_s == pytest.approx(found.total_s * 2)


def test_a_bigger_job_takes_longer() -> None:
    assert job([], size_bytes=4000 * MB).total_s > job([]).total_s
    assert job([], segments=300).total_s > job([]).total_s


@given(st.floats(0.1, 20), st.integers(1, 6))
def test_a_machines_own_speed_is_learnt_and_carried_to_other_sizes(slowness: float, runs: int) -> None:
    once = run_of(slowness, size_bytes=100 * MB, segments=5, wal_bytes=10 * MB)
    history = list(chain.from_iterable([once] * runs))
    found = job(history)
    assert found.runs == min(runs, 5)
    assert found.total_s == pytest.approx(slowness * job([]).total_s)


@given(st.lists(st.floats(0.2, 10), min_size=1, max_size=9))
def test_the_forecast_lies_within_its_range(slownesses: list[float]) -> None:
    history = [item for slow in slownesses for item in run_of(slow, size_bytes=MB, segments=1, wal_bytes=MB)]
    found = job(history)
    assert found.low_s <= found.total_s * 1.000001
    assert found.total_s <= found.high_s * 1.000001
    assert found.total_s == pytest.approx(sum(found.phases_s.values()))


def test_one_slow_run_does_not_spoil_the_forecast() -> None:
    history = [
        item for slow in (1.0, 1.0, 9.0, 1.0) for item in run_of(slow, size_bytes=MB, segments=1, wal_bytes=MB)
    ]
    assert job(history).total_s == pytest.approx(job([]).total_s)


def test_only_the_last_five_runs_count() -> None:
    history = [
        item for slow in [9.0] * 5 + [2.0] * 5 for item in run_of(slow, size_bytes=MB, segments=1, wal_bytes=MB)
    ]
    assert job(history).total_s == pytest.approx(2 * job([]).total_s)


def test_before_the_first_recovery_the_backups_say_how_fast_the_machine_is() -> None:
    took_s = 2 * MODELS[Phase.BACKUP].seconds(size_bytes=MB, units=0)
    backup = Measurement(phase=Phase.BACKUP, size_bytes=MB, units=0, took_s=took_s)
    found = job([backup])
    assert found.runs == 0
    assert job([]).total_s < found.total_s <= 2 * job([]).total_s + 0.001
