"""Load tests: when requests arrive, what samples say, whether a promise is kept, how a plot is drawn."""

import json
import random
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.cli import loadtest as words
from wedsync.errors import LoadTestRefused, UsageProblem
from wedsync.loadtest.arrivals import Stage, arrivals, stage_at
from wedsync.loadtest.figures import OK, Sample, errors, figures, percentile, seconds
from wedsync.loadtest.flight import refusal, spread
from wedsync.loadtest.judgement import PoolUse, judge
from wedsync.loadtest.plan import address_of, schedule, shaped
from wedsync.loadtest.plots import Line, Plot, draw, ticks
from wedsync.loadtest.profiles import PROFILES, Kind
from wedsync.loadtest.run import pool_use


def stage(seconds: float, rate: float, end_rate: float) -> Stage:
    return Stage(name="a", seconds=seconds, rate=rate, end_rate=end_rate)


def sample(
    latency_ms: float, *, at_s: float = 0.0, kind: str = "guests", outcome: str = OK, lag_ms: float = 0.1
) -> Sample:
    return Sample(kind, at_s, latency_ms, lag_ms, outcome)


# Arrivals


def test_a_steady_stage_has_its_rate_whatever_the_second() -> None:
    moments = list(arrivals([stage(100, 50, 50)], random.Random(1)))
    assert len(moments) == pytest.approx(
        5000, abs=250
    )  # three and a half standard deviations of a Poisson process
    assert moments == sorted(moments)
    assert sum(moment < 50 for moment in moments) == pytest.approx(2500, abs=180)


def test_people_do_not_come_in_step() -> None:
    moments = list(arrivals([stage(100, 50, 50)], random.Random(1)))
    gaps = [late - early for early, late in pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert variance == pytest.approx(mean**2, rel=0.15)  # exponential gaps


def test_a_ramp_has_most_arrivals_at_its_end() -> None:
    moments = list(arrivals([stage(30, 20, 200)], random.Random(2)))
    assert len(moments) == pytest.approx(110 * 30, rel=0.06)
    assert sum(moment >= 15 for moment in moments) / len(moments) == pytest.approx(155 / 220, abs=0.03)


def test_stages_follow_each_other() -> None:
    stages = PROFILES["spike"].stages
    moments = list(arrivals(stages, random.Random(3)))
    peak = [moment for moment in moments if stage_at(stages, moment) == "peak"]
    assert 60 <= min(peak) < 61
    assert len(peak) / 30 == pytest.approx(200, rel=0.05)
    assert stage_at(stages, 1e9) == "after"


@given(st.floats(0.1, 100), st.floats(0.1, 1000), st.floats(0.1, 1000), st.floats(0, 1), st.floats(0, 1))
def test_moments_of_a_stage_lie_in_it_in_order(
    length: float, rate: float, end_rate: float, one: float, other: float
) -> None:
    made = stage(length, rate, end_rate)
    early, late = sorted((one, other))
    first, second = made.moment_of(early * made.expected), made.moment_of(late * made.expected)
    assert -1e-9 <= first <= second + 1e-9 <= length * (1 + 1e-6) + 1e-9


def test_the_same_plan_each_time_and_every_kind_in_its_share() -> None:
    plan = schedule(PROFILES["thousand"])
    assert plan == schedule(PROFILES["thousand"])
    assert len(plan) == pytest.approx(60_000, rel=0.02)
    share = sum(kind is Kind.DASHBOARD for _, kind in plan) / len(plan)
    assert share == pytest.approx(0.30, abs=0.01)


def test_requests_at_once_are_all_due_at_the_begin() -> None:
    plan = schedule(PROFILES["burst"])
    assert len(plan) == 500
    assert {moment for moment, _ in plan} == {0.0}


@given(st.lists(st.integers(), max_size=50), st.integers(1, 5))
def test_a_schedule_spread_over_processes_loses_nothing(numbers: list[int], parts: int) -> None:
    plan = [(float(at), number) for at, number in enumerate(numbers)]
    assert sorted(each for share in spread(plan, parts) for each in share) == plan


# Figures


def test_percentiles_are_values_that_were_seen() -> None:
    ordered = [float(number) for number in range(1, 101)]
    assert [percentile(ordered, share) for share in (0.0, 0.5, 0.95, 0.99, 1.0)] == [1, 50, 95, 99, 100]
    assert percentile([7.0], 0.999) == 7
    assert percentile([], 0.5) is None


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.001, 1))
def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(
    values: list[float], share: float
) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found is not None
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
    assert sum(value < found for value in values) < share * len(values) + 1e-6


def test_failures_count_and_have_no_latency() -> None:
    found = figures([sample(10), sample(30), sample(10_000, outcome="timeout")])
    assert (found.count, found.failed, found.mean_ms, found.worst_ms) == (3, 1, 20, 30)
    assert found.success == pytest.approx(2 / 3)
    assert figures([]).success == 0
    assert figures([sample(1, outcome="refused")]).p95_ms is None


def test_kinds_of_errors_are_told_most_frequent_first() -> None:
    seen = [sample(1, outcome=what) for what in ("timeout", "status 503", "status 503", OK)]
    assert list(errors(seen).items()) == [("status 503", 2), ("timeout", 1)]


def test_a_refusal_names_the_code_of_the_error() -> None:
    assert refusal(503, b'{"code": "PGRST003", "message": "x"}') == "status 503 PGRST003"
    assert refusal(502, b"<html>") == "status 502"
    assert refusal(500, b'{"code": 7}') == "status 500"


def test_a_second_is_that_in_which_a_request_was_due() -> None:
    lines = seconds(
        [sample(5000, at_s=0.9), sample(1, at_s=2.1), sample(1, at_s=2.2, outcome="timeout", lag_ms=9)]
    )
    assert [(line.at_s, line.started, line.failed, line.lag_ms) for line in lines] == [
        (0, 1, 0, 0.1),
        (2, 2, 1, 9),
    ]


# Judgement


def kept(name: str, samples: list[Sample], pool: list[PoolUse] | None = None) -> dict[str, bool]:
    return {check.name: check.ok for check in judge(PROFILES[name], samples, pool or [])}


def test_a_run_without_a_single_request_keeps_nothing() -> None:
    for profile in PROFILES.values():
        checks = judge(profile, [], [])
        assert checks
        assert not any(check.ok for check in checks)


def test_95_of_100_inserts_are_enough_and_94_are_not() -> None:
    good, bad = sample(10), sample(5000, outcome="timeout")
    assert all(kept("inserts", [good] * 95 + [bad] * 5).values())
    assert not all(kept("inserts", [good] * 94 + [bad] * 6).values())


def test_one_error_breaks_the_promise_of_the_spike() -> None:
    good = [sample(10, at_s=float(at)) for at in range(100)]
    assert all(kept("spike", good).values())
    assert not all(kept("spike", [*good, sample(1, outcome="status 503")]).values())


def test_the_worst_of_a_spike_is_held_against_the_average_before_it() -> None:
    slow = [sample(40, at_s=1.0)] * 100
    assert all(kept("spike", [*slow, sample(119, at_s=70)]).values())
    assert not all(kept("spike", [*slow, sample(121, at_s=70)]).values())
    quick = [sample(4, at_s=1.0)] * 100
    assert all(kept("spike", [*quick, sample(59, at_s=70)]).values())
    assert not all(kept("spike", [*quick, sample(61, at_s=70)]).values())


def a_good_day() -> list[Sample]:
    return [sample(10, kind=str(kind)) for kind in PROFILES["thousand"].mix for _ in range(100)]


def test_every_kind_of_request_has_its_own_limit() -> None:
    pool = [PoolUse(at_s=0, used=3, most=10, waiting=0)]
    assert all(kept("thousand", a_good_day(), pool).values())
    slow = [replace(each, latency_ms=120.0) if each.kind == "core_field" else each for each in a_good_day()]
    assert {name for name, ok in kept("thousand", slow, pool).items() if not ok} == {"p95 of core_field"}


def test_a_pool_that_was_not_seen_keeps_no_promise_and_nor_does_a_full_one() -> None:
    name = "connections of the pool in use"
    assert not kept("thousand", a_good_day())[name]
    full = [PoolUse(at_s=0, used=1, most=10, waiting=0), PoolUse(at_s=1, used=8, most=10, waiting=3)]
    assert not kept("thousand", a_good_day(), full)[name]


def test_a_generator_that_is_late_itself_is_told() -> None:
    late = [sample(10, lag_ms=50)] * 2 + [sample(10)] * 98
    assert not kept("inserts", late)["the generator kept its own time"]
    assert all(kept("inserts", [*late[1:], sample(10)]).values())


def test_the_use_of_the_pool_is_read_from_the_health_answer() -> None:
    pool = {"total_connections": 9, "idle_connections": 7, "waiting_requests": 1, "max_connections": 10}
    body = json.dumps({"connection_pool": pool}).encode()
    assert pool_use(body, at_s=2.0) == PoolUse(at_s=2.0, used=2, most=10, waiting=1)
    for other in (b"", b"[]", b'{"connection_pool": null}', b"null"):
        assert pool_use(other, at_s=0.0) is None


# Words of a call


def test_profiles_of_the_command_are_those_there_are() -> None:
    assert tuple(PROFILES) == words._PROFILES


def test_a_spike_is_shortened_in_proportion() -> None:
    made = shaped(PROFILES["spike"], seconds=21, rate=2, users=7)
    assert [(each.seconds, each.rate, each.end_rate) for each in made.stages] == [
        (6, 2, 2),
        (6, 2, 20),
        (6, 20, 20),
        (3, 2, 2),
    ]
    assert made.users == 7


@pytest.mark.parametrize(
    ("name", "seconds", "rate", "users"),
    [
        ("burst", 3.0, None, None),
        ("burst", None, 3.0, None),
        ("spike", None, 2001.0, None),
        ("thousand", 3601.0, None, None),
        ("thousand", None, None, 10_001),
    ],
)
def test_what_goes_too_far_or_has_no_meaning_is_wrong_usage(
    name: str, seconds: float | None, rate: float | None, users: int | None
) -> None:
    with pytest.raises(UsageProblem):
        shaped(PROFILES[name], seconds=seconds, rate=rate, users=users)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://localhost:8000/", "http://[::1]:8000", "http://127.8.8.8"]
)
def test_this_machine_may_be_asked(url: str) -> None:
    assert address_of(url, allow_remote=None).port in {80, 8000}


@pytest.mark.parametrize("url", ["http://10.0.0.7:8000", "http://wedsync.example", "http://127.0.0.1.example"])
def test_another_machine_only_with_a_reason(url: str) -> None:
    for reason in (None, "", "  "):
        with pytest.raises(LoadTestRefused):
            address_of(url, allow_remote=reason)
    assert address_of(url, allow_remote="a rehearsal on staging")


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1", "127.0.0.1:8000", "http://", "http://127.0.0.1/rest/v1", "http://127.0.0.1:x"]
)
def test_what_is_no_address_is_wrong_usage(url: str) -> None:
    with pytest.raises(UsageProblem):
        address_of(url, allow_remote=None)


# Plots


@given(st.floats(1e-6, 1e9))
def test_ticks_are_few_round_and_reach_the_top(highest: float) -> None:
    found = ticks(highest)
    assert found[0] == 0
    assert found[-1] >= highest * (1 - 1e-6)
    assert 2 <= len(found) <= 7


@pytest.mark.parametrize("highest", [5e-324, 1e-300, 1e-13])
def test_what_is_too_small_to_draw_is_drawn_as_nothing(highest: float) -> None:
    assert ticks(highest) == [0.0, 1.0]


def test_a_plot_is_svg_that_stands_alone_and_shows_gaps() -> None:
    lines = (
        Line(name="p50 <b>", points=[(0, 1.0), (1, 2.0), (2, None), (3, 4.0), (4, 5.0), (5, None), (6, 1.0)]),
        Line(name="none", points=[]),
    )
    text = draw(Plot(title="Latency & more", unit="ms", across="seconds", lines=lines, limit=3.0))
    root = Xml.fromstring(text)  # noqa: S314 - our own
    assert [each.tag for each in root].count("polyline") == 2
    assert [each.get("class") for each in root if each.tag == "circle"] == ["dot line0"]
    assert "highest 5 ms" in root.attrib["aria-label"]
    assert "http" not in text


@given(st.lists(st.tuples(st.floats(0, 1e4), st.one_of(st.none(), st.floats(0, 1e6))), max_size=20))
def test_any_points_make_a_plot_within_its_frame(points: list[tuple[float, float | None]]) -> None:
    text = draw(
        Plot(
            title="t",
            unit="ms",
            across="seconds",
            lines=(Line(name="a", points=sorted(points, key=lambda p: p[0])),),
        )
    )
    root = Xml.fromstring(text)  # noqa: S314 - our own
    for line in root.iter("polyline"):
        for pair in line.attrib["points"].split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 720
            assert 0 <= y <= 220
