"""What verifies the repositories of a home, put together."""

import asyncio
from collections.abc import Iterable
from functools import cached_property

from wedsync.backup.pgbackrest import PgBackRest
from wedsync.backup.records import BackupRecords
from wedsync.backup.stored import StoredFiles
from wedsync.backup.survey import Surveyor
from wedsync.backup.verification.elsewhere import FindCopies
from wedsync.backup.verification.examination import DamagedSegment, Examiner
from wedsync.backup.verification.inspection import Inspector
from wedsync.backup.verification.ledger import Ledger
from wedsync.backup.verification.marks import Marker
from wedsync.backup.verification.mending import Mender
from wedsync.backup.verification.pace import Pace
from wedsync.backup.verification.reading import Reader
from wedsync.backup.verification.service import VerificationService
from wedsync.backup.verification.turns import Coverage, coverage, rate
from wedsync.backup.verification.whole import Verifier
from wedsync.clock import Clock
from wedsync.database import ConnectionTarget
from wedsync.state import StateStore


class VerificationParts:
    """Builds each part once, when it is first asked for."""

    def __init__(
        self,
        *,
        pgbackrest: PgBackRest,
        surveyor: Surveyor,
        state: StateStore,
        clock: Clock,
        find_copies: FindCopies,
    ) -> None:
        """`find_copies` gives what this machine has of WAL besides `pg_wal`."""
        self._find_copies = find_copies
        self._pgbackrest = pgbackrest
        self._surveyor = surveyor
        self._state = state
        self._clock = clock

    @cached_property
    def ledger(self) -> Ledger:
        """What is known of files and findings."""
        return Ledger(self._state)

    @cached_property
    def stored(self) -> StoredFiles:
        """The repositories' files, for whoever is in a hurry."""
        return StoredFiles(self._pgbackrest)

    @cached_property
    def inspector(self) -> Inspector:
        """Lists repositories."""
        return Inspector(
            pgbackrest=self._pgbackrest, stored=self.stored, surveyor=self._surveyor, clock=self._clock
        )

    @cached_property
    def reader(self) -> Reader:
        """Reads as fast as it goes."""
        return Reader(pgbackrest=self._pgbackrest, stored=self.stored, pace=Pace(None, sleep=asyncio.sleep))

    @cached_property
    def verifier(self) -> Verifier:
        """Reads repositories whole."""
        return Verifier(
            pgbackrest=self._pgbackrest,
            inspector=self.inspector,
            reader=self.reader,
            records=BackupRecords(self._state),
            ledger=self.ledger,
            marker=self.marker,
            clock=self._clock,
        )

    @cached_property
    def mender(self) -> Mender:
        """Puts back what is damaged or missing."""
        return Mender(
            pgbackrest=self._pgbackrest,
            stored=self.stored,
            reader=self.reader,
            ledger=self.ledger,
            clock=self._clock,
            find_copies=self._find_copies,
        )

    @cached_property
    def marker(self) -> Marker:
        """Marks backups that are broken."""
        return Marker(pgbackrest=self._pgbackrest, reader=self.reader)

    async def examine(self, repo: int, system_id: str, names: Iterable[str]) -> DamagedSegment | None:
        """The first damaged one of the first few of these segments; noted, so that no way leads over it."""
        examiner = Examiner(
            pgbackrest=self._pgbackrest, stored=self.stored, reader=self.reader, system_id=system_id
        )
        found = await examiner.first_damaged(repo, names)
        if found is not None:
            self.ledger.found(found.problem, at=self._clock.now())
        return found

    def service(self, monitor: ConnectionTarget) -> VerificationService:
        """The keeper's reading, at its own pace."""
        config = self._pgbackrest.config.verification
        slow = StoredFiles(self._pgbackrest, nice=config.nice)
        return VerificationService(
            pgbackrest=self._pgbackrest,
            inspector=self.inspector,
            reader=Reader(
                pgbackrest=self._pgbackrest,
                stored=slow,
                pace=Pace(config.bytes_per_second, sleep=asyncio.sleep),
            ),
            ledger=self.ledger,
            marker=self.marker,
            mender=self.mender,
            records=BackupRecords(self._state),
            monitor=monitor,
            clock=self._clock,
        )

    def coverage(self) -> tuple[Coverage, ...]:
        """How much of each repository was read within the time that is allowed."""
        config = self._pgbackrest.config.verification
        known = {repo: tuple(self.ledger.files(repo).values()) for repo in self._pgbackrest.repos}
        total = sum(file.size_bytes for files in known.values() for file in files)
        return tuple(
            coverage(
                repo,
                files,
                self.ledger.round(repo),
                now=self._clock.now(),
                within=config.within,
                bytes_per_second=rate(total, within=config.within, bytes_per_second=config.bytes_per_second),
            )
            for repo, files in known.items()
        )
