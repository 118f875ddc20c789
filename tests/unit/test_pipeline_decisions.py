"""What the pipeline decides: placement, size, limit, retries, names, settings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wedsync.cluster.poolers import UNKNOWN_POOLER, has_known_holes
from wedsync.database.pipeline import ExposedRole, LoginRole, ServerError, Statement, Work, check_login
from wedsync.database.pipeline.history import Histories, History
from wedsync.database.pipeline.limit import Bounds, ConcurrencyLimit, Window, next_limit
from wedsync.database.pipeline.placement import Crowd, idle, place, slow_places, wanted
from wedsync.database.pipeline.prepared import PreparedNames
from wedsync.database.pipeline.retries import TRIES, Attempt, Verdict, after_loss, after_refusal
from wedsync.database.pipeline.settings import settings_of
from wedsync.errors import LoginRoleUnfit

BOUNDS = Bounds(floor=10, ceiling=500, step=20, start=10)
READ = Attempt(changes_nothing=True, tries=1)
WRITE = Attempt(changes_nothing=False, tries=1)


@dataclass(frozen=True)
class Busy:
    """A connection as `place` sees it."""

    depth: int = 0
    backlog_s: float = 0.0
    takes: bool = True


def error(sqlstate: str, *, severity: str = "ERROR", routine: str | None = None) -> ServerError:
    return ServerError(severity=severity, sqlstate=sqlstate, message="", routine=routine)


@pytest.mark.parametrize(
    ("connections", "cost_s", "place_at"),
    [
        ([Busy(), Busy()], 0.0001, 0),
        ([Busy(3, 0.0003), Busy()], 0.0001, 0),  # packed before the next one is woken
        ([Busy(3, 0.0010), Busy()], 0.0001, 1),
        ([Busy(takes=False), Busy()], 0.0001, 1),
        ([Busy(1, 0.005), Busy(1, 0.003)], 0.002, 1),
        ([Busy(1, 0.009), Busy(1, 0.0095)], 0.002, None),  # full: whichever is free first
        ([Busy(16, 0.0001), Busy(1, 0.004)], 0.0001, 1),  # deep enough
        ([Busy(takes=False)], 0.0001, None),
        ([Busy(1, 0.0001), Busy()], 3.0, 1),
        ([], 0.0001, None),
    ],
)
def test_a_batch_goes_where_it_waits_least_on_as_few_connections_as_will_do(
    connections: list[Busy], cost_s: float, place_at: int | None
) -> None:
    found = place(connections, cost_s)
    assert found is (None if place_at is None else connections[place_at])


def test_behind_a_pooler_nothing_is_queued_behind_anything() -> None:
    assert place([Busy(1, 0.0001)], 0.0001, deep=1) is None


def test_slow_work_gets_an_idle_connection_and_leaves_a_quarter_to_others() -> None:
    connections = [Busy(), Busy(1, 0.1), Busy(), Busy(takes=False)]
    assert idle(connections) is connections[2]
    assert idle([Busy(1, 0.001)]) is None
    assert [slow_places(size) for size in (1, 2, 4, 100)] == [1, 1, 3, 75]


CALM = Crowd(total=10, opening=0, held=0, longest_wait_s=0.0, strain=1.0)


@pytest.mark.parametrize(
    ("crowd", "more"),
    [
        (CALM, 0),
        (replace(CALM, total=7), 3),
        (replace(CALM, total=7, opening=3), 0),
        (replace(CALM, held=4), 4),  # what slow work holds is made up for
        (replace(CALM, held=4, opening=1), 3),
        (replace(CALM, longest_wait_s=0.05), 3),
        (replace(CALM, longest_wait_s=0.05, strain=3.0), 0),  # the server is out of processors
        (replace(CALM, total=99, held=95), 1),
        (replace(CALM, total=100, held=100, longest_wait_s=1.0), 0),
    ],
)
def test_the_pool_grows_for_slow_work_and_for_waits_on_a_server_that_has_room(crowd: Crowd, more: int) -> None:
    assert wanted(crowd, min_size=10, max_size=100) == more


windows = st.integers(0, 1000).flatmap(
    lambda started: st.builds(
        Window, started=st.just(started), late=st.integers(0, started), peak=st.integers(0, 1000)
    )
)


@given(st.integers(10, 500), st.lists(windows, max_size=50))
def test_the_limit_stays_in_its_bounds(limit: int, seen: Sequence[Window]) -> None:
    for window in seen:
        limit = next_limit(limit, window, BOUNDS)
        assert BOUNDS.floor <= limit <= BOUNDS.ceiling


@given(st.integers(10, 500), windows)
def test_the_limit_falls_where_many_waited_and_never_rises_where_nobody_used_it(limit: int, seen: Window) -> None:
    after = next_limit(limit, seen, BOUNDS, was_late=True)
    if seen.late > 0.1 * seen.started:
        assert after == BOUNDS.floor or after < limit
    elif seen.peak < 0.9 * limit:
        assert after == limit
    else:
        assert after == min(BOUNDS.ceiling, limit + BOUNDS.step)


@given(st.integers(50, 400))
def test_the_limit_finds_what_the_server_can_do(capacity: int) -> None:
    """A server that lets nobody wait long up to `capacity` at a time, asked by more than that all the while."""
    limit, seen, was_late = 500, [], False
    for _ in range(300):
        window = Window(started=100, late=50 if limit > capacity else 0, peak=limit)
        limit, was_late = next_limit(limit, window, BOUNDS, was_late=was_late), window.is_late
        seen.append(limit)
    assert max(seen[100:]) <= capacity + BOUNDS.step
    assert min(seen[100:]) >= 0.75 * capacity - 1


def test_one_late_window_lowers_nothing_and_a_second_one_does() -> None:
    limit = ConcurrencyLimit(bounds=replace(BOUNDS, start=200))
    limit.started(asked_at=10.0, now=10.2)
    assert limit.value == 200
    limit.admits(149)
    limit.started(asked_at=10.2, now=10.35)
    assert limit.value == 120
    assert not limit.admits(120)


@pytest.mark.parametrize(
    ("refusal", "attempt", "verdict"),
    [
        (error("23505"), WRITE, Verdict.FAIL),
        (error("40001"), WRITE, Verdict.LATER),
        (error("40P01"), READ, Verdict.LATER),
        (error("40001"), replace(WRITE, tries=TRIES), Verdict.FAIL),
        (error("26000"), WRITE, Verdict.WITHOUT_NAMES),
        (error("0A000", routine="RevalidateCachedQuery"), WRITE, Verdict.WITHOUT_NAMES),
        (error("0A000", routine="transformSelect"), WRITE, Verdict.FAIL),
        (error("57014"), WRITE, Verdict.FAIL),  # the statement's own time was over
        (error("57014"), replace(WRITE, was_cancelled=True), Verdict.ALONE),
        (error("57P01", severity="FATAL"), WRITE, Verdict.LATER),
        (error("57P01", severity="FATAL"), replace(WRITE, is_at_commit=True), Verdict.UNKNOWN),
        (error("57P01", severity="FATAL"), replace(READ, is_at_commit=True), Verdict.LATER),
        (error("23505"), replace(WRITE, is_at_commit=True), Verdict.FAIL),  # a deferred constraint
    ],
)
def test_what_was_undone_for_sure_may_run_again(refusal: ServerError, attempt: Attempt, verdict: Verdict) -> None:
    assert after_refusal(refusal, attempt) is verdict


def test_after_a_loss_only_reads_and_writes_that_never_left_run_again() -> None:
    assert after_loss(READ) is Verdict.LATER
    assert after_loss(WRITE) is Verdict.UNKNOWN
    assert after_loss(replace(WRITE, is_sent_whole=False)) is Verdict.LATER
    assert after_loss(replace(READ, tries=TRIES)) is Verdict.FAIL


def test_a_name_counts_once_it_is_confirmed_and_belongs_to_a_role() -> None:
    names = PreparedNames(2)
    asked = names.ask("anon", b"select 1")
    assert asked is not None
    assert names.find("anon", b"select 1") is None
    assert names.ask("anon", b"select 1") is None  # one is under way
    names.settle("anon", b"select 1", is_parsed=True)
    assert names.find("anon", b"select 1") is asked
    assert names.find("authenticated", b"select 1") is None


def test_a_refused_parse_leaves_no_name() -> None:
    names = PreparedNames(2)
    assert names.ask("anon", b"x") is not None
    names.settle("anon", b"x", is_parsed=False)
    assert names.find("anon", b"x") is None
    assert names.ask("anon", b"x") is not None


def test_the_least_recently_used_name_is_closed_and_forgotten_ones_too() -> None:
    names = PreparedNames(2)
    made: dict[bytes, bytes] = {}
    for text in (b"a", b"b", b"c"):
        asked = names.ask("anon", text)
        assert asked is not None
        made[text] = asked.name
        names.settle("anon", text, is_parsed=True)
        names.find("anon", b"a")
    assert names.to_close() == made[b"b"]
    assert names.to_close() is None
    names.forget_all()
    assert {names.to_close(), names.to_close()} == {made[b"a"], made[b"c"]}
    assert names.find("anon", b"a") is None


def test_settings_are_parameters_and_their_names_are_checked() -> None:
    work = Work(
        role="anon'; drop table x; --",
        settings=(("request.jwt.claims", b"{}"), ("search_path", b"public")),
        statements=(Statement(b"select 1"),),
        read_only=True,
        statement_timeout_ms=500,
    )
    text, values = settings_of(work)
    assert text == (
        b"select pg_catalog.set_config('transaction_read_only','on',true),"
        b"pg_catalog.set_config('role',$1,true),pg_catalog.set_config('statement_timeout',$2,true),"
        b"pg_catalog.set_config('request.jwt.claims',$3,true),pg_catalog.set_config('search_path',$4,true)"
    )
    assert values == [b"anon'; drop table x; --", b"500", b"{}", b"public"]
    assert b"read_only" not in settings_of(replace(work, read_only=False))[0]
    with pytest.raises(ValueError, match="no name"):
        settings_of(replace(work, settings=(("x', 'y', true), now(); --", b""),)))


def test_a_history_knows_the_usual_and_the_quiet_time() -> None:
    history = History()
    assert not history.is_repeated
    for _ in range(64):
        history.ran(0.002)
    assert history.usual_s == pytest.approx(0.002)
    assert history.quiet_s == pytest.approx(0.002)
    for _ in range(64):
        history.ran(0.010)
    assert history.usual_s == pytest.approx(0.010, rel=0.05)
    assert history.quiet_s < 0.0025


def test_histories_are_bounded() -> None:
    histories = Histories(limit=3)
    first = histories.of(b"0")
    for i in range(1, 4):
        histories.of(b"%d" % i)
    assert histories.of(b"3") is histories.of(b"3")
    assert histories.of(b"0") is not first


def test_a_login_role_is_told_whom_it_cannot_become_and_what_it_should_not_be() -> None:
    good = LoginRole(name="gate", inherits=False, is_superuser=False, bypasses_rls=False)
    anon = ExposedRole(name="anon", exists=True, may_be_taken=True)
    assert check_login(good, [anon]) == ()
    (said,) = check_login(replace(good, inherits=True), [anon])
    assert "noinherit" in said
    assert "bypasses" in check_login(replace(good, bypasses_rls=True), [anon])[0]
    with pytest.raises(LoginRoleUnfit, match="'x'") as unfit:
        check_login(good, [anon, ExposedRole(name="x", exists=False, may_be_taken=False)])
    assert "no such role" in str(unfit.value)


@pytest.mark.parametrize(
    ("pooler", "holes"),
    [
        ("PgBouncer 1.18.0", True),
        ("PgBouncer 1.25.2", True),
        ("PgBouncer 1.26.1", False),
        ("PgBouncer 2.0.0", False),
        (UNKNOWN_POOLER, None),
    ],
)
def test_old_poolers_are_known_to_be_vulnerable(pooler: str, holes: bool | None) -> None:
    assert has_known_holes(pooler) is holes
