"""The moment an operator names, read without guessing."""

from datetime import UTC, datetime

from wedsync.errors import UsageProblem

_EXAMPLE = "2026-06-14 11:05:30+01:00, or 2026-06-14T10:05:30Z"


def parse_moment(text: str) -> datetime:
    """The moment that `text` names, in UTC; it must say its own offset from UTC.

    A time without an offset is refused: at three in the morning, an hour's mistake is the wrong database.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageProblem(f"{text!r} is no moment", detail=str(error), hint=f"write {_EXAMPLE}") from error
    if moment.tzinfo is None:
        local = moment.astimezone()
        raise UsageProblem(
            f"{text!r} does not say its time zone",
            hint=f"on this machine's clock that is '{local.isoformat(sep=' ')}', "
            f"in UTC '{moment.replace(tzinfo=UTC).isoformat(sep=' ')}': give one of them",
        )
    return moment.astimezone(UTC)
