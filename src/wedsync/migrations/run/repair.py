"""Put files and ledger in agreement again, by a person's decision: shown first, then appended, never rewritten."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from wedsync.database import ConnectionTarget
from wedsync.errors import MigrationsRefused, UsageProblem
from wedsync.migrations.files.directory import SHIPPED, read_files
from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.files.problems import Problem
from wedsync.migrations.ledger.history import Entry, EventKind, LedgerRow, applied_now
from wedsync.migrations.ledger.status import Applied
from wedsync.migrations.run.runner import Conditions, migrating, refuse
from wedsync.migrations.run.session import Ledger, Session, chain_rows, read_ledger
from wedsync.migrations.run.steps import Direction, StepState
from wedsync.sql import statements


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDifference:
    """A migration whose file is not what ran."""

    ran: Applied
    file: MigrationFile | None
    """`None`: it is missing."""
    stored: str
    """The text that ran, or was accepted since."""

    @property
    def diff(self) -> str:
        """What changed from the text that ran to the file."""
        if self.file is None:
            return ""
        old, new = self.stored.splitlines(keepends=True), self.file.text.splitlines(keepends=True)
        lines = unified_diff(old, new, f"{self.ran.id}.sql as it ran", f"{self.file.file_name} as it is")
        return "".join(lines)

    def to_json(self) -> dict[str, object]:
        return {
            "id": self.ran.id,
            "applied_at": self.ran.applied_at.isoformat(),
            "by": self.ran.by,
            "was": self.ran.checksum,
            "now": self.file.checksum if self.file else None,
            "file": self.file.file_name if self.file else None,
            "diff": self.diff,
        }


async def file_difference(target: ConnectionTarget, identity: str, *, directory: Path = SHIPPED) -> FileDifference:
    """How the file of migration `identity` differs from what ran; changes nothing.

    Raises `UsageProblem` where it was not applied, or does not differ.
    """
    async with await target.connect() as connection:
        ledger = await read_ledger(connection)
        ran = _applied(ledger, identity)
        named = "stored_text" if ledger.is_upgraded else "first_stored_text"
        row = await (await connection.execute(statements("migrations")[named], {"number": ran.number})).fetchone()
    files = {file.number: file for file in read_files(directory).files}
    file = files.get(ran.number)
    if file is not None and (file.checksum, file.name) == (ran.checksum, ran.name):
        raise UsageProblem(f"{ran.id} needs no repair", detail="its file is the text that ran")
    return FileDifference(ran=ran, file=file, stored=str(row[0]) if row else "")


async def accept(
    target: ConnectionTarget, found: FileDifference, *, reason: str, conditions: Conditions
) -> LedgerRow:
    """Accept the file as the text of a migration that ran differently: a row is appended that says so."""
    file = found.file
    if file is None:
        raise UsageProblem(
            f"{found.ran.id} has no file that could be accepted",
            hint=f"write the text that ran back: wedsync migrate repair {found.ran.id} --restore",
        )
    async with migrating(target, conditions) as (session, ledger):
        refuse(ledger.tampering(conditions.key))
        if _applied(ledger, found.ran.id) != found.ran:
            raise MigrationsRefused(f"{found.ran.id} was repaired by somebody else just now", hint="look again")
        entry = Entry(
            kind=EventKind.REPAIRED,
            number=file.number,
            name=file.name,
            checksum=file.checksum,
            raw_checksum=file.raw_checksum,
            text=file.text,
            reason=_said(reason),
            detail={"was": found.ran.checksum, "was_name": found.ran.name},
        )
        return await _append(session, entry)


def restore_file(found: FileDifference, *, directory: Path = SHIPPED) -> Path:
    """Write the text that ran back into its file; the database stays as it is."""
    path = directory / f"{found.ran.id}.sql"
    path.write_text(found.stored, encoding="utf-8", newline="\n")
    if found.file is not None and found.file.file_name != path.name:
        (directory / found.file.file_name).unlink()
    return path


async def chain_anew(
    target: ConnectionTarget, *, reason: str, conditions: Conditions
) -> tuple[Sequence[Problem], LedgerRow]:
    """Accept the ledger as it is now: every row gets its code anew, and a row says so.

    Gives what had been changed by hand, and that row. For a ledger whose key was lost, or whose rows were
    changed by hand and looked into since.
    """
    said = _said(reason)
    async with migrating(target, conditions) as (session, ledger):
        broken = ledger.tampering(conditions.key)
        async with session.transaction():
            row = await chain_rows(
                session, ledger.rows, reason=said, accepted=[problem.message for problem in broken]
            )
    return broken, row


async def decide_step(
    target: ConnectionTarget,
    identity: str,
    step: int,
    *,
    ran: bool,
    reason: str,
    conditions: Conditions,
    direction: Direction = Direction.UP,
    directory: Path = SHIPPED,
) -> LedgerRow:
    """Say whether a step ran whose outcome cannot be seen; the next run goes on from there."""
    file = next((file for file in read_files(directory).files if file.id == identity), None)
    if file is None:
        raise UsageProblem(f"there is no migration {identity}", hint="wedsync migrate status lists them")
    said = _said(reason)
    values = {"id": file.number, "direction": direction.value, "step": step}
    async with migrating(target, conditions) as (session, ledger):
        refuse(ledger.tampering(conditions.key))
        async with session.transaction():
            decided = await session.connection.execute(
                statements("migrations")["decide_step"],
                {**values, "state": StepState.DONE if ran else StepState.FAILED},
            )
            if decided.rowcount != 1:
                raise UsageProblem(
                    f"step {step} of {identity} is not undecided",
                    hint="select * from ops.migration_steps shows how its steps are",
                )
            return await session.append(
                Entry(
                    kind=EventKind.STEP_DECIDED,
                    number=file.number,
                    name=file.name,
                    reason=said,
                    detail={"direction": direction.value, "step": step, "ran": ran},
                )
            )


async def _append(session: Session, entry: Entry) -> LedgerRow:
    async with session.transaction():
        return await session.append(entry)


def _applied(ledger: Ledger, identity: str) -> Applied:
    for row in applied_now(ledger.rows):
        if identity in {row.id, f"{row.number:04d}"}:
            return row
    raise UsageProblem(f"{identity} is not applied here", hint="wedsync migrate status lists what is")


def _said(reason: str) -> str:
    if not reason.strip():
        raise UsageProblem("a repair needs its reason", hint='--reason "what happened"')
    return reason.strip()
