"""What a store's refusal means: pgBackRest passes on the whole HTTP answer, and TLS's own words."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from wedsync.backup.report import Said
from wedsync.errors import CertificateRefused, ClockWrong, CredentialsRefused, RepositoryUnreachable, StoreMissing

_STATUS = re.compile(r"HTTP request failed with (?P<status>\d{3})(?: \((?P<reason>[^)]*)\))?|^\[(?P<busy>5\d\d)\]")
_CODE = re.compile(r"<Code>(?P<s3>\w+)</Code>|x-ms-error-code: (?P<azure>\w+)")
_DATE = re.compile(r"date: (?P<date>\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT)")
_SKEW_ALLOWED = timedelta(minutes=5)
_MISSING = ("NoSuchBucket", "ContainerNotFound", "NoSuchKey")
_SKEWED = ("RequestTimeTooSkewed", "RequestExpired")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The part of a store's answer that says why."""

    status: int
    code: str
    reason: str
    store_clock: datetime | None

    def in_words(self) -> str:
        """Such as `the store says 403 Forbidden, AccessDenied`."""
        said = " ".join(word for word in (str(self.status), self.reason) if word)
        return f"the store says {said}{', ' + self.code if self.code else ''}"


def read_refusal(message: str) -> Refusal | None:
    """What is told of an HTTP answer, if the message is about one."""
    status = _STATUS.search(message)
    if status is None:
        return None
    code, date = _CODE.search(message), _DATE.search(message)
    return Refusal(
        status=int(status["status"] or status["busy"]),
        code=(code["s3"] or code["azure"]) if code else "",
        reason=(status["reason"] or "").partition(".")[0],
        store_clock=parsedate_to_datetime(date["date"]) if date else None,
    )


def explain_store(said: Said, where: str, now: datetime) -> RepositoryUnreachable | None:
    """The error for what a store or its certificate refused; `None`: it is about something else.

    `now` is this machine's clock, which the store's own is compared with.
    """
    if "certificate" in said.message and said.code == 95:
        return CertificateRefused(
            f"whoever answers for {where} cannot prove to be it",
            detail=said.message,
            hint="name the authority that signed its certificate by storage-ca-file (a pgBackRest host: "
            "host-ca-file); one that has expired must be renewed there",
        )
    refusal = read_refusal(said.message)
    if refusal is None:
        return None
    skew = abs(now - refusal.store_clock) if refusal.store_clock else timedelta()
    seen = refusal.in_words()
    if refusal.code in _SKEWED or (refusal.status == 403 and skew > _SKEW_ALLOWED):
        return ClockWrong(
            f"the store of {where} refuses requests because of this machine's clock",
            detail=f"{seen}; the clocks differ by {skew.total_seconds():.0f} s",
            hint="let a time service set this machine's clock",
        )
    return next((rule.error(where, seen) for rule in _RULES if rule.fits(refusal)), None)


@dataclass(frozen=True, slots=True)
class _Rule:
    fits: Callable[[Refusal], bool]
    error: Callable[[str, str], RepositoryUnreachable]


_RULES = (
    _Rule(
        lambda refusal: refusal.status == 404 and refusal.code in _MISSING,
        lambda where, seen: StoreMissing(
            f"the bucket or container of {where} does not exist",
            detail=seen,
            hint="make it, with versions and object lock on (docs/how-to/second-region.md), or correct its name",
        ),
    ),
    _Rule(
        lambda refusal: refusal.status in (400, 401, 403),
        lambda where, seen: CredentialsRefused(
            f"the store of {where} refuses our credentials, or what they may do",
            detail=seen,
            hint="see key and secret in [backup.repoN.options] and secrets/; they need to list, read, write and "
            "delete in the bucket. A clock that is wrong by more than 5 minutes is refused the same way",
        ),
    ),
    _Rule(
        lambda refusal: refusal.status >= 500 or refusal.status == 429,
        lambda where, seen: RepositoryUnreachable(
            f"the store of {where} is out of order or overloaded",
            detail=seen,
            hint="nothing has to be done: it is tried again; if it lasts, see the provider's status page",
        ),
    ),
)
