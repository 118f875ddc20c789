"""Moments, durations and sizes in words, the same in every place that shows them to a person."""

import re
from datetime import UTC, datetime

_PATH = re.compile(r"(?<![\w:/.])/(?!api/)(?:[\w.@+-]+/)+([\w.@+-]*)")


def moment_words(moment: datetime | None) -> str:
    """A moment to the second with its offset, in this machine's zone."""
    return "never" if moment is None else moment.astimezone().isoformat(sep=" ", timespec="seconds")


def short_moment_words(moment: datetime, now: datetime, *, seconds: bool = False) -> str:
    """A moment in the zone of `now`: `07:12 UTC` today, `2026-11-20 07:12 UTC` on another day."""
    there = moment.astimezone(now.tzinfo)
    day = "" if there.date() == now.date() else "%Y-%m-%d "
    return there.strftime(f"{day}{'%H:%M:%S' if seconds else '%H:%M'} %Z")


def age_words(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in words: `3 min ago`."""
    if moment is None:
        return "never"
    return f"{duration_words(((now or datetime.now(UTC)) - moment).total_seconds())} ago"


def duration_words(seconds: float) -> str:
    """A duration to two significant units: `42 s`, `3 min 20 s`, `5 h 2 min`, `12 d 4 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{max(0.0, seconds):.1f} s" if seconds < 10 else f"{whole} s"
    for size, unit, smaller, small_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            big, rest = divmod(whole, size)
            small = rest // smaller
            return f"{big} {unit} {small} {small_unit}" if small else f"{big} {unit}"
    return f"{whole} s"


def size_words(size_bytes: float) -> str:
    """A size in decimal units: `4.1 GB`."""
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError(size_bytes)


def without_paths(text: str) -> str:
    """`text` with the last part alone of each path of the machine: where a home is, is nobody's business."""
    return _PATH.sub(lambda found: f"…/{found[1]}" if found[1] else "…", text)
