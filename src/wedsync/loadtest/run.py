"""A load test from begin to end: generators send, the pool is watched, everything is put together and judged."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import TypeAlias

from wedsync.clock import Clock
from wedsync.database import ConnectionTarget
from wedsync.loadtest.connection import fetch
from wedsync.loadtest.figures import Sample
from wedsync.loadtest.flight import Call, Job, spread
from wedsync.loadtest.ground import Ground, prepared
from wedsync.loadtest.judgement import Check, PoolUse, judge
from wedsync.loadtest.plan import Address, peak, schedule
from wedsync.loadtest.processes import GeneratorProcess, generator_processes
from wedsync.loadtest.profiles import Kind, Profile
from wedsync.loadtest.requests import Keys, calls, health_request

_RATE_OF_A_PROCESS = 3000.0
"""What one generator sends with ease, a second."""
_POOL_EVERY_S = 1.0
_HEALTH_WITHIN_S = 5.0

OnProgress: TypeAlias = Callable[[int, int, int], None]
"""Told of requests ended, requests in all, failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run gave."""

    profile: Profile
    address: Address
    reason: str | None
    """Why another machine was allowed."""
    began_at: datetime
    took_s: float
    planned: int
    """How many requests there would have been."""
    interrupted: bool
    samples: list[Sample] = field(repr=False)
    pool: list[PoolUse] = field(repr=False)
    checks: list[Check]
    generator_cpu_s: float
    generators: int

    @property
    def kept(self) -> bool:
        """Whether the profile's promise was met."""
        return all(check.ok for check in self.checks)


async def run_load_test(
    profile: Profile,
    *,
    address: Address,
    reason: str | None,
    owner: ConnectionTarget,
    keys: Keys,
    clock: Clock,
    stop: asyncio.Event,
    on_progress: OnProgress,
) -> Outcome:
    """Prepare, send, watch, judge, clean up. `stop` ends it early: the outcome is what was seen until then.

    Raises `LoadTestFailed` where the gateway is not there before the run begins, or a generator ends by itself.
    """
    plan = schedule(profile)
    async with prepared(owner) as ground:
        jobs = _jobs(profile, plan, ground, address, keys)
        run = _Run(planned=len(plan), on_progress=on_progress)
        began_at, began = clock.now(), monotonic()
        async with generator_processes(jobs) as generators:
            for generator in generators:
                await generator.opened()
            began_at, began = clock.now(), monotonic()
            watching = asyncio.create_task(_watch_pool(run.pool, address, keys))
            try:
                for generator in generators:
                    generator.begin()
                await _gather(run, generators, stop)
            finally:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching
        took_s = monotonic() - began
    return Outcome(
        profile=profile,
        address=address,
        reason=reason,
        began_at=began_at,
        took_s=took_s,
        planned=len(plan),
        interrupted=stop.is_set(),
        samples=run.samples,
        pool=run.pool,
        checks=judge(profile, run.samples, run.pool),
        generator_cpu_s=sum(run.cpu_s.values()),
        generators=len(jobs),
    )


@dataclass(slots=True, kw_only=True)
class _Run:
    planned: int
    on_progress: OnProgress
    samples: list[Sample] = field(default_factory=list[Sample])
    pool: list[PoolUse] = field(default_factory=list[PoolUse])
    cpu_s: dict[int, float] = field(default_factory=dict[int, float])
    failed: int = 0

    def add(self, samples: list[Sample]) -> None:
        self.samples += samples
        self.failed += sum(not sample.is_ok for sample in samples)
        self.on_progress(len(self.samples), self.planned, self.failed)


def _jobs(
    profile: Profile, plan: Sequence[tuple[float, Kind]], ground: Ground, address: Address, keys: Keys
) -> list[Job]:
    """The plan spread over as few processes as send it with ease."""
    host = f"{address.host}:{address.port}"
    made: list[Call] = []
    numbers: dict[Kind, range] = {}
    for kind in profile.mix:
        of_kind = calls(ground, kind, host=host, keys=keys)
        numbers[kind] = range(len(made), len(made) + len(of_kind))
        made += of_kind
    turns = dict.fromkeys(profile.mix, 0)
    numbered: list[tuple[float, int]] = []
    for moment, kind in plan:
        choice = numbers[kind]
        numbered.append((moment, choice[turns[kind] % len(choice)]))
        turns[kind] += 1
    highest = max((peak(stage) for stage in profile.stages), default=0.0)
    parts = 1 + int(highest // _RATE_OF_A_PROCESS)
    return [
        Job(
            host=address.host,
            port=address.port,
            connections=len(range(part, profile.users, parts)),
            within_s=profile.promise.within_s,
            calls=made,
            schedule=share,
        )
        for part, share in enumerate(spread(numbered, parts))
    ]


async def _gather(run: _Run, generators: Sequence[GeneratorProcess], stop: asyncio.Event) -> None:
    """Take the generators' reports until all are done, or were asked to stop and have said their last."""

    async def listen(number: int, generator: GeneratorProcess) -> None:
        async for report in generator.reports():
            run.cpu_s[number] = report.cpu_s
            run.add(report.to_samples())

    async def hang_up() -> None:
        await stop.wait()
        for generator in generators:
            generator.hang_up()

    ending = asyncio.create_task(hang_up())
    try:
        await asyncio.gather(*(listen(number, generator) for number, generator in enumerate(generators)))
    finally:
        ending.cancel()


async def _watch_pool(pool: list[PoolUse], address: Address, keys: Keys) -> None:
    """Ask the gateway once a second how its pool is, until cancelled. A gateway that does not say leaves a gap."""
    request = health_request(host=f"{address.host}:{address.port}", keys=keys)
    began = monotonic()
    while True:
        with suppress(OSError):
            at_s = monotonic() - began
            _, body = await fetch(address.host, address.port, request, within_s=_HEALTH_WITHIN_S)
            if (use := pool_use(body, at_s=at_s)) is not None:
                pool.append(use)
        await asyncio.sleep(_POOL_EVERY_S)


def pool_use(body: bytes, *, at_s: float) -> PoolUse | None:
    """The pool's use that an answer of `/api/database/health` tells; None where it does not."""
    try:
        answer = json.loads(body)
        pool = answer["connection_pool"]
        total, idle = int(pool["total_connections"]), int(pool["idle_connections"])
        most, waiting = int(pool["max_connections"]), int(pool["waiting_requests"])
    except (ValueError, KeyError, TypeError):
        return None
    return PoolUse(at_s=at_s, used=total - idle, most=most, waiting=waiting)
