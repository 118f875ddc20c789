"""What an error of pgBackRest means, and what to do about it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wedsync.backup.report import Said, printable, read_error
from wedsync.backup.store_errors import explain_store
from wedsync.errors import (
    ArchivingStuck,
    BackupFailed,
    BackupKept,
    BackupUnknown,
    Busy,
    ForeignCluster,
    RepositoryFull,
    RepositoryUnreachable,
    SegmentUnreadable,
    WedsyncError,
    WrongKey,
)
from wedsync.process import Finished

_NOT_ARCHIVED = 82
_DUPLICATE = 45
_UNREADABLE = re.compile(r"unable to get \S+: .*\[(?P<name>Crypto|Format|Assert|Checksum)Error\] (?P<words>.*)")
_UNREACHABLE = (37, 38, 39, 40, 41, 42, 47, 49, 55, 58, 64, 73, 101, 102, 103)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """An error of pgBackRest that means something to a caller; the first rule that fits wins."""

    fits: Callable[[Said], bool]
    error: type[WedsyncError]
    message: str
    hint: str


_RULES = (
    _Rule(
        fits=lambda said: "No space left on device" in said.message,
        error=RepositoryFull,
        message="no space left in {where}",
        hint="make room, then run it again: what is there stays restorable",
    ),
    _Rule(
        fits=lambda said: said.code == 50,
        error=Busy,
        message="another pgBackRest is at work in this home",
        hint="wait for it to end",
    ),
    _Rule(
        fits=lambda said: (
            ".info" in said.message and (said.code == 95 or "key/value found outside of section" in said.message)
        ),
        error=WrongKey,
        message="{where} cannot be read with the key in the home",
        hint="put the key that {where} was made with back into secrets/{where}_key; if it is that one,"
        " the file named here and its copy are damaged: bring them back from the storage",
    ),
    _Rule(
        fits=lambda said: (
            ("do not match" in said.message and "system-id" in said.message) or said.code in (28, 44, 51)
        ),
        error=ForeignCluster,
        message="{where} belongs to another cluster than this one",
        hint="give this cluster a stanza or a repository of its own; nothing was changed there",
    ),
    _Rule(
        fits=lambda said: said.code == _NOT_ARCHIVED,
        error=ArchivingStuck,
        message="WAL does not reach the archive",
        hint="see archive_command's errors in PostgreSQL's log and in log/pgbackrest",
    ),
    _Rule(
        fits=lambda said: said.code == 38 and "postmaster.pid" in said.message,
        error=Busy,
        message="a server runs in the data directory, or died in it and left its postmaster.pid",
        hint="wedsync status says which",
    ),
    _Rule(
        fits=lambda said: "does not match pg_control timeline" in said.message,
        error=BackupFailed,
        message="the server was promoted a moment ago and has not written a checkpoint since",
        hint="have a superuser run CHECKPOINT, or wait for the next one; then run it again",
    ),
    _Rule(
        fits=lambda said: said.code == 75 and "cannot be expired" in said.message,
        error=BackupKept,
        message="{where} keeps its last full backup",
        hint="take a new full one first",
    ),
    _Rule(
        fits=lambda said: said.code == 75 and "backup" in said.message,
        error=BackupUnknown,
        message="{where} has no such backup",
        hint="wedsync backup list",
    ),
    _Rule(
        fits=lambda said: said.code in _UNREACHABLE,
        error=RepositoryUnreachable,
        message="{where} cannot be used",
        hint="check that its disk is mounted, its host reachable and its credentials valid",
    ),
)


def explain(
    finished: Finished,
    command: str,
    *,
    repo: int | None,
    otherwise: type[WedsyncError],
    archiver: str | None = None,
) -> WedsyncError:
    """The error to raise for a run that failed; `otherwise` where pgBackRest's words say nothing special.

    `archiver` is what the archiver complained about last: the reason where a backup waits for WAL in vain.
    """
    said = read_error(finished.stderr) or read_error(finished.stdout)
    where = f"repo{repo}" if repo is not None else "the repositories"
    if said is None:
        seen = printable(finished.stderr or finished.stdout) or f"exit status {finished.exit_status}"
        return otherwise(f"pgBackRest {command} on {where} failed", detail=seen)
    if said.code == _NOT_ARCHIVED and archiver is not None:
        stuck = f"{said.message.partition(' / ')[0]}; the archiver says: {archiver}"
        said = Said(code=said.code, message=stuck)
    refused = explain_store(said, where, datetime.now(UTC))
    return (
        refused
        or _special(said, where)
        or otherwise(
            f"pgBackRest {command} on {where} failed",
            detail=f"error {said.code}: {said.message}",
            hint="wedsync doctor checks the repositories one by one",
        )
    )


def explain_segment(finished: Finished, segment: str, *, repo: int) -> WedsyncError:
    """The error to raise for a WAL segment that was not fetched.

    Where its content cannot be decrypted or unpacked, pgBackRest says [42] as for a disk that is away, and the
    reason behind it. A flipped bit it does not notice at all: 2.45 hands the segment out and says nothing.
    """
    said = read_error(finished.stderr) or read_error(finished.stdout)
    if said is not None and (match := _UNREADABLE.search(said.message)):
        return SegmentUnreadable(
            f"WAL segment {segment} in repo{repo} is damaged",
            detail=f"error {said.code}: {match['name']} {match['words']}",
            hint="wedsync backup verify --repair puts it back from another repository",
        )
    if said is not None and said.code == _DUPLICATE:
        return SegmentUnreadable(
            f"WAL segment {segment} is in repo{repo} twice, with different content",
            detail=said.message,
            hint="two servers may archive to one repository: wedsync backup verify",
        )
    return explain(finished, "archive-get", repo=repo, otherwise=SegmentUnreadable)


def last_complaint(spool: Path, stanza: str) -> str | None:
    """What pgBackRest's archiver wrote down about the newest segment that it could not archive."""
    errors = sorted((spool / "archive" / stanza / "out").glob("*.error"))
    try:
        return printable("\n".join(errors[-1].read_text(errors="replace").splitlines()[1:])) if errors else None
    except FileNotFoundError:  # archived in this very moment
        return None


def _special(said: Said, where: str) -> WedsyncError | None:
    for rule in _RULES:
        if rule.fits(said):
            return rule.error(
                rule.message.format(where=where),
                detail=f"error {said.code}: {said.message}",
                hint=rule.hint.format(where=where),
            )
    return None
