"""From a profile and the words of a call to the run that will be made: bounded in time, rate and reach."""

import ipaddress
import random
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from wedsync.errors import LoadTestRefused, UsageProblem
from wedsync.loadtest.arrivals import Stage, arrivals
from wedsync.loadtest.profiles import Kind, Profile

LONGEST_S = 3600.0
HIGHEST_RATE = 20_000.0
MOST_USERS = 10_000
_SEED = 20_260_613


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the gateway listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"http://{self.host}:{self.port}"


def address_of(url: str, *, allow_remote: str | None) -> Address:
    """The address that a URL names. Raises `LoadTestRefused` for another machine without a reason given."""
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme != "http" or not parts.hostname or parts.path not in {"", "/"}:
        raise UsageProblem(
            f"{url!r} is no address of a gateway",
            detail="what is measured is plain HTTP, without what stands before the gateway",
            hint="write it like http://127.0.0.1:8000",
        )
    if not (allow_remote or "").strip() and not _is_this_machine(parts.hostname):
        raise LoadTestRefused(
            f"{parts.hostname} is another machine",
            detail="a load test can keep everybody else from being served",
            hint="--allow-remote REASON, which is written into the report",
        )
    return Address(host=parts.hostname, port=port)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def shaped(profile: Profile, *, seconds: float | None, rate: float | None, users: int | None) -> Profile:
    """The profile with other numbers: `seconds` in all, `rate` of the first stage, `users` at a time.

    Stages keep their proportions. Raises `UsageProblem` where a number has no meaning or goes too far.
    """
    if profile.at_once and (seconds is not None or rate is not None):
        raise UsageProblem(
            f"profile {profile.name} has neither duration nor rate",
            detail="all its requests are due at once",
            hint="--users says how many ask",
        )
    times = 1.0 if seconds is None else seconds / profile.seconds
    factor = 1.0 if rate is None else rate / profile.stages[0].rate
    stages = tuple(
        replace(stage, seconds=stage.seconds * times, rate=stage.rate * factor, end_rate=stage.end_rate * factor)
        for stage in profile.stages
    )
    made = replace(profile, stages=stages, users=users or profile.users)
    for what, value, most in (
        ("seconds", made.seconds, LONGEST_S),
        ("requests a second", max((peak(stage) for stage in stages), default=0.0), HIGHEST_RATE),
        ("users", float(made.users), float(MOST_USERS)),
    ):
        if value > most:
            raise UsageProblem(f"{value:,.0f} {what} are more than {most:,.0f}", hint="a load test is bounded")
    return made


def peak(stage: Stage) -> float:
    """The highest rate of a stage."""
    return max(stage.rate, stage.end_rate)


def schedule(profile: Profile) -> list[tuple[float, Kind]]:
    """When requests arrive, and of which kind; the same ones each time."""
    rng = random.Random(_SEED)  # noqa: S311 - not a secret: the same run twice
    kinds, weights = list(profile.mix), list(profile.mix.values())
    at_once = [0.0] * (profile.users * profile.at_once)
    moments = at_once or list(arrivals(profile.stages, rng))
    return list(zip(moments, rng.choices(kinds, weights, k=len(moments)), strict=True))
