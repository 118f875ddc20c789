"""What follows from a job's failure, and which routines are due."""

from datetime import UTC, datetime, timedelta

import pytest

from wedsync.maintenance import Job, JobKind, JobState, Routine, after_failure, due_routines
from wedsync.maintenance.jobs import ATTEMPTS, is_given_up

NOW = datetime(2026, 6, 13, 12, 0, tzinfo=UTC)


def job(*, kind: JobKind = JobKind.REINDEX, attempts: int = 1) -> Job:
    return Job(id=1, kind=kind, target="public.guests", payload={}, attempts=attempts, requested_by="service_role")


@pytest.mark.parametrize(
    ("kind", "attempts", "sqlstate", "state", "wait_s"),
    [
        (JobKind.REINDEX, 1, "55P03", JobState.QUEUED, 30),
        (JobKind.REINDEX, 2, "55P03", JobState.QUEUED, 60),
        (JobKind.REINDEX, ATTEMPTS - 1, "55P03", JobState.QUEUED, 480),
        (JobKind.REINDEX, ATTEMPTS, "55P03", JobState.FAILED, 0),
        (JobKind.VACUUM, 1, "40P01", JobState.QUEUED, 30),
        (JobKind.VACUUM, 1, None, JobState.QUEUED, 30),  # the server went away
        (JobKind.VACUUM, 1, "42P01", JobState.FAILED, 0),  # the table is gone: it stays gone
        (JobKind.MIGRATION, 1, "55P03", JobState.FAILED, 0),
    ],
)
def test_what_was_in_the_way_is_tried_again_later(
    kind: JobKind, attempts: int, sqlstate: str | None, state: JobState, wait_s: int
) -> None:
    outcome = after_failure(job(kind=kind, attempts=attempts), "seen", sqlstate=sqlstate)
    assert (outcome.state, outcome.wait, outcome.error) == (state, timedelta(seconds=wait_s), "seen")


def test_a_job_that_kills_its_workers_is_given_up() -> None:
    assert not is_given_up(job(attempts=ATTEMPTS))
    assert is_given_up(job(attempts=ATTEMPTS + 1))


def test_routines_are_due_by_their_own_rhythm() -> None:
    often, seldom = (Routine(name=name, every=timedelta(minutes=n)) for name, n in (("often", 1), ("seldom", 60)))
    both = (often, seldom)
    assert due_routines(both, {}, now=NOW) == both
    called = {"often": NOW - timedelta(minutes=1), "seldom": NOW - timedelta(minutes=59)}
    assert due_routines(both, called, now=NOW) == (often,)
    set_back = {"often": NOW + timedelta(days=1), "seldom": NOW}
    assert due_routines(both, set_back, now=NOW) == (often,)
