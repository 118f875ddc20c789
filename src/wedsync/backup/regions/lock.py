"""Whether what a repository holds can be deleted by whoever has our credentials: plain decisions."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from wedsync.config import RepositoryKind


class LockState(StrEnum):
    """What a store keeps from us, too."""

    ON = "on"
    SHORT = "short"
    """On, for less time than the recovery window."""
    OFF = "off"
    NONE = "none"
    """A store of this kind has no such thing."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLock:
    """What a store says of itself."""

    versions: bool
    """Whether an object that is deleted or overwritten stays as an older version."""
    mode: str | None = None
    """`COMPLIANCE`, `GOVERNANCE`, `container` or `versions`; `None`: nothing is locked."""
    days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockVerdict:
    """What that means."""

    state: LockState
    words: str
    next_step: str = ""


_HOW = "docs/how-to/second-region.md, `Locked`"


def judge_lock(kind: RepositoryKind, lock: StoreLock | None, *, window: timedelta) -> LockVerdict:
    """What a store's answer means; `lock` is `None` for a kind that cannot be asked."""
    match kind:
        case RepositoryKind.PATH | RepositoryKind.SFTP:
            return LockVerdict(
                state=LockState.NONE,
                words="a directory has no lock: who has this user's rights can delete what is in it",
                next_step="keep it on another host under another account, or take snapshots there",
            )
        case RepositoryKind.TLS:
            return LockVerdict(
                state=LockState.NONE,
                words="a pgBackRest host has no lock: whoever becomes that host can delete what it holds",
                next_step="let nobody into that host with credentials of this machine; take snapshots there",
            )
        case RepositoryKind.GCS:
            return LockVerdict(
                state=LockState.UNKNOWN,
                words="a bucket of Google's is not asked",
                next_step="gcloud storage buckets describe says its retention policy",
            )
        case RepositoryKind.S3 | RepositoryKind.AZURE:
            return _of_store(lock or StoreLock(versions=False), window)


def _of_store(lock: StoreLock, window: timedelta) -> LockVerdict:
    if lock.mode is None:
        words = "objects that are deleted stay as older versions, which can be deleted, too"
        return LockVerdict(
            state=LockState.OFF,
            words=words if lock.versions else "what is in the store can be deleted for good with our credentials",
            next_step=f"switch the store's lock on, for {window.days} days at least: {_HOW}",
        )
    if lock.days is None:
        return LockVerdict(state=LockState.ON, words=f"locked ({lock.mode}); for how long is not told")
    if timedelta(days=lock.days) < window:
        return LockVerdict(
            state=LockState.SHORT,
            words=f"locked for {lock.days} days ({lock.mode}), and the recovery window has {window.days}",
            next_step=f"raise the lock's default to {window.days} days: {_HOW}",
        )
    return LockVerdict(state=LockState.ON, words=f"locked for {lock.days} days ({lock.mode})")


def unknown(reason: str) -> LockVerdict:
    """The verdict where the store did not answer."""
    return LockVerdict(
        state=LockState.UNKNOWN, words=f"not known: {reason}", next_step="wedsync doctor asks again"
    )
