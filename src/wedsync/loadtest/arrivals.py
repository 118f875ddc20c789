"""When requests arrive: by a plan of rates, whatever the answers do (open loop).

A generator that waits for an answer before it sends again goes easy on a server that hangs, and its figures
leave out everybody who would have come meanwhile ("coordinated omission"). Here each request has its moment before
the run begins, and its latency is counted from there.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of a run in which the rate goes evenly from one value to another."""

    name: str
    seconds: float
    rate: float
    """Requests a second at its begin."""
    end_rate: float
    """At its end."""

    @property
    def expected(self) -> float:
        """How many requests it has on average."""
        return (self.rate + self.end_rate) / 2 * self.seconds

    def moment_of(self, requests: float) -> float:
        """After how many seconds of the stage that many have been expected."""
        slope = (self.end_rate - self.rate) / self.seconds
        if abs(slope) < 1e-9:
            return requests / self.rate
        # rate·t + slope·t²/2 = requests, in the form that loses no digits where the slope is small
        root = math.sqrt(max(0.0, self.rate * self.rate + 2 * slope * requests))
        return 2 * requests / (self.rate + root)


def arrivals(stages: Sequence[Stage], rng: random.Random) -> Iterator[float]:
    """Moments, in seconds from the begin: a Poisson process whose rate follows the stages.

    People do not come in step: exponential gaps of mean one are laid over the expected number of requests.
    """
    due = rng.expovariate(1.0)
    begin = 0.0
    passed = 0.0
    for stage in stages:
        while due - passed < stage.expected:
            yield begin + stage.moment_of(due - passed)
            due += rng.expovariate(1.0)
        passed += stage.expected
        begin += stage.seconds


def stage_at(stages: Sequence[Stage], moment: float) -> str:
    """Name of the stage that a moment is in; the last one's behind the end."""
    begin = 0.0
    for stage in stages:
        begin += stage.seconds
        if moment < begin:
            return stage.name
    return stages[-1].name
