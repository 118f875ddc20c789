"""How long a recovery will take, from what past ones took."""

import random
import statistics
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.recovery import Forecast, Measurement, Phase, Restoring, forecast
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
    assert found.runs == min(runs, 12)
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


def test_only_the_last_twelve_runs_count() -> None:
    history = [
        item for slow in [9.0] * 5 + [2.0] * 12 for item in run_of(slow, size_bytes=MB, segments=1, wal_bytes=MB)
    ]
    assert job(history).total_s == pytest.approx(2 * job([]).total_s)


def test_before_the_first_recovery_the_backups_say_how_fast_the_machine_is() -> None:
    took_s = 2 * MODELS[Phase.BACKUP].seconds(size_bytes=MB, units=0)
    backup = Measurement(phase=Phase.BACKUP, size_bytes=MB, units=0, took_s=took_s)
    found = job([backup])
    assert found.runs == 0
    assert job([]).total_s < found.total_s <= 2 * job([]).total_s + 0.001


class Machine:
    """A machine whose phases have parts of their own, with noise on each run."""

    def __init__(self, dice: random.Random, *, noise: float) -> None:
        self.dice = dice
        self.noise = noise
        self.factors = [dice.uniform(0.4, 4.0) for _ in range(3)]
        self.pace: str | None = None

    def took_s(self, phase: Phase, size_bytes: int, units: int) -> float:
        parts = MODELS[phase].parts(size_bytes=size_bytes, units=units)
        exact = sum(factor * part for factor, part in zip(self.factors, parts, strict=True))
        return exact * self.dice.lognormvariate(0.0, self.noise)

    def run(
        self, size_bytes: int, segments: int, way: Restoring = Restoring.COPY, repo: int = 1
    ) -> list[Measurement]:
        sizes = {Phase.RESTORE: (size_bytes, 0), Phase.REPLAY: (segments * 4 * MB, segments)}
        return [
            Measurement(
                phase=phase,
                size_bytes=sizes.get(phase, (0, 0))[0],
                units=sizes.get(phase, (0, 0))[1],
                took_s=self.took_s(phase, *sizes.get(phase, (0, 0))),
                way=way,
                repo=repo,
                pace=self.pace,
            )
            for phase in RECOVERY_PHASES
        ]


def after(history: list[Measurement], size_bytes: int, segments: int, repo: int = 1) -> Forecast:
    return forecast(
        database_bytes=size_bytes,
        wal_segments=segments,
        wal_bytes=segments * 4 * MB,
        history=history,
        way=Restoring.COPY,
        repo=repo,
    )


def test_after_three_runs_of_any_wal_length_the_forecast_is_within_a_fifth() -> None:
    """200 machines whose parts are up to ten times apart, 8 % of noise on each phase, WAL of 1 to 60 segments."""
    errors: list[float] = []
    inside = 0
    for seed in range(200):
        dice = random.Random(seed)
        machine = Machine(dice, noise=0.08)
        history: list[Measurement] = []
        for _ in range(3):
            history += machine.run(400 * MB, dice.randint(1, 60))
        segments = dice.randint(1, 60)
        found = after(history, 400 * MB, segments)
        actual = sum(item.took_s for item in machine.run(400 * MB, segments))
        errors.append(abs(actual - found.total_s) / actual)
        inside += found.low_s <= actual <= found.high_s
    errors.sort()
    assert statistics.median(errors) < 0.08
    assert errors[int(0.95 * len(errors))] < 0.20
    assert inside > 150


def test_each_part_is_learnt_when_sizes_differ() -> None:
    dice = random.Random(5)
    machine = Machine(dice, noise=0.0)
    machine.factors = [0.5, 3.0, 1.5]
    history = [item for n in (2, 40, 10, 80, 5, 60) for item in machine.run((50 + 20 * n) * MB, n)]
    found = after(history, 5000 * MB, 20)
    actual = sum(item.took_s for item in machine.run(5000 * MB, 20))
    assert found.total_s == pytest.approx(actual, rel=0.15)


def test_runs_from_the_same_repository_count_and_others_only_until_there_are_some() -> None:
    near, far = Machine(random.Random(1), noise=0.0), Machine(random.Random(1), noise=0.0)
    far.factors = [factor * 5 for factor in near.factors]
    history = [item for _ in range(3) for item in near.run(400 * MB, 10)]
    guessed = after(history, 400 * MB, 10, repo=2)
    assert not guessed.alike
    assert (
        guessed.high_s - guessed.low_s > after(history, 400 * MB, 10).high_s - after(history, 400 * MB, 10).low_s
    )
    history += far.run(400 * MB, 10, repo=2)
    reads = (Phase.RESTORE, Phase.REPLAY)
    known = after(history, 400 * MB, 10, repo=2)
    assert known.alike
    assert known.runs == 1
    for phase in reads:
        assert known.phases_s[phase] == pytest.approx(5 * guessed.phases_s[phase], rel=0.01)


def test_a_copy_at_low_priority_says_nothing_of_a_recovery_once_there_was_one() -> None:
    quick, slow = Machine(random.Random(2), noise=0.0), Machine(random.Random(2), noise=0.0)
    slow.factors = [factor * 3 for factor in quick.factors]
    history = [item for _ in range(6) for item in slow.run(400 * MB, 10)]
    history += quick.run(400 * MB, 10, way=Restoring.DELTA)
    history += [item for _ in range(6) for item in slow.run(400 * MB, 10)]
    found = forecast(
        database_bytes=400 * MB,
        wal_segments=10,
        wal_bytes=40 * MB,
        history=history,
        way=Restoring.DELTA,
        repo=1,
    )
    assert found.total_s == pytest.approx(sum(item.took_s for item in quick.run(400 * MB, 10)), rel=0.01)


def test_the_phase_that_takes_longest_is_named() -> None:
    assert job([], size_bytes=MB, segments=1).dominant is Phase.PROMOTE
    assert job([], segments=500).dominant is Phase.REPLAY


def paced(pace: str, slowness: float, dice: random.Random) -> Machine:
    """The same machine at another pace: so many times slower in all parts."""
    machine = Machine(dice, noise=0.08)
    machine.factors = [1.2 * slowness, 0.8 * slowness, 2.0 * slowness]
    machine.pace = pace
    return machine


def of_pace(history: list[Measurement], pace: str, segments: int) -> Forecast:
    return forecast(
        database_bytes=400 * MB,
        wal_segments=segments,
        wal_bytes=segments * 4 * MB,
        history=history,
        way=Restoring.COPY,
        repo=1,
        pace=pace,
    )


def test_runs_at_a_low_priority_do_not_blur_the_forecast_of_those_that_somebody_waits_for() -> None:
    """100 machines on which drills of the night take thrice as long as those by hand, three of each by turns."""
    errors: list[float] = []
    inside = 0
    for seed in range(100):
        dice = random.Random(seed)
        night, by_hand = paced("2x nice 19 idle disk", 3.0, dice), paced("2x nice 10", 1.0, dice)
        history: list[Measurement] = []
        for _ in range(3):
            history += night.run(400 * MB, dice.randint(1, 60)) + by_hand.run(400 * MB, dice.randint(1, 60))
        segments = dice.randint(1, 60)
        for machine in (night, by_hand):
            found = of_pace(history, str(machine.pace), segments)
            assert found.alike
            actual = sum(item.took_s for item in machine.run(400 * MB, segments))
            errors.append(abs(actual - found.total_s) / actual)
            inside += found.low_s <= actual <= found.high_s
    errors.sort()
    assert statistics.median(errors) < 0.08
    assert errors[int(0.95 * len(errors))] < 0.20
    assert inside >= 170


def test_drills_inform_a_first_recovery_with_a_wider_range() -> None:
    dice = random.Random(3)
    drills = paced("2x nice 10", 1.0, dice)
    history = [item for _ in range(5) for item in drills.run(400 * MB, 10)]
    same = of_pace(history, "2x nice 10", 10)
    other = of_pace(history, "1x nice 19 idle disk", 10)
    recovery = forecast(
        database_bytes=400 * MB,
        wal_segments=10,
        wal_bytes=40 * MB,
        history=history,
        way=Restoring.WHOLE,
        repo=1,
    )
    assert recovery.total_s == pytest.approx(same.total_s)
    assert recovery.runs == other.runs == 5
    assert same.alike
    for wider in (other, recovery):
        assert not wider.alike
        assert wider.low_s < same.low_s
        assert wider.high_s > same.high_s


def test_a_part_of_a_forecast_has_the_range_of_its_phases() -> None:
    found = job([])
    part = found.of((Phase.RESTORE, Phase.REPLAY))
    assert part.total_s == pytest.approx(found.phases_s[Phase.RESTORE] + found.phases_s[Phase.REPLAY])
    assert part.low_s == pytest.approx(part.total_s / 2)
    assert part.high_s == pytest.approx(part.total_s * 2)
    whole = found.of(RECOVERY_PHASES)
    assert (whole.total_s, whole.low_s, whole.high_s) == pytest.approx((found.total_s, found.low_s, found.high_s))
