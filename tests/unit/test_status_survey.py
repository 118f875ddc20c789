"""The repositories' answer is remembered, shared by callers, and never waited for too long."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from support.status_values import NOW, SURVEY
from wedsync.monitoring import LatestSurvey, SurveyFacts


class Now:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, pause: timedelta) -> None:
        self.moment += pause


class Repositories:
    """Repositories that answer when they are let."""

    def __init__(self, clock: Now) -> None:
        self.clock = clock
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error: Exception | None = None

    async def __call__(self) -> SurveyFacts:
        self.asked += 1
        await self.may_answer.wait()
        if self.error:
            raise self.error
        return replace(SURVEY, surveyed_at=self.clock.now())


@pytest.fixture
def clock() -> Now:
    return Now()


@pytest.fixture
def repositories(clock: Now) -> Repositories:
    return Repositories(clock)


def latest(repositories: Repositories, wait: timedelta = timedelta(seconds=5)) -> LatestSurvey:
    return LatestSurvey(repositories, clock=repositories.clock, fresh_for=timedelta(seconds=15), wait=wait)


async def test_a_fresh_answer_is_given_again_without_asking(repositories: Repositories, clock: Now) -> None:
    async with latest(repositories) as survey:
        first = await survey()
        clock.moment += timedelta(seconds=14)
        assert await survey() is first
        clock.moment += timedelta(seconds=1)
        assert (await survey()).surveyed_at == clock.moment
    assert repositories.asked == 2


async def test_callers_at_the_same_time_share_one_question(repositories: Repositories) -> None:
    async with latest(repositories) as survey:
        answers = await asyncio.gather(*(survey() for _ in range(5)))
    assert repositories.asked == 1
    assert len({id(answer) for answer in answers}) == 1


async def test_a_slow_answer_is_not_waited_for_and_is_there_for_the_next_call(
    repositories: Repositories, clock: Now
) -> None:
    repositories.may_answer.clear()
    async with latest(repositories, wait=timedelta(milliseconds=10)) as survey:
        with pytest.raises(TimeoutError):
            await survey()
        repositories.may_answer.set()
        first = await survey()
        clock.moment += timedelta(minutes=1)
        repositories.may_answer.clear()
        assert await survey() is first
        repositories.may_answer.set()
        assert (await survey()).surveyed_at == clock.moment
    assert repositories.asked == 2


async def test_leaving_ends_a_question_without_an_answer(repositories: Repositories) -> None:
    repositories.may_answer.clear()
    async with latest(repositories, wait=timedelta(milliseconds=10)) as survey:
        with pytest.raises(TimeoutError):
            await survey()
    assert len(asyncio.all_tasks()) == 1


async def test_an_error_is_raised_only_where_nothing_older_is_known(
    repositories: Repositories, clock: Now
) -> None:
    async with latest(repositories) as survey:
        repositories.error = OSError("no such program")
        with pytest.raises(OSError, match="no such program"):
            await survey()
        repositories.error = None
        first = await survey()
        clock.moment += timedelta(minutes=1)
        repositories.error = OSError("no such program")
        assert await survey() is first
