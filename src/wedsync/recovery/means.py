"""What the parts of a recovery work with, and the two things that several of them do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from wedsync.backup import Examine, PgBackRest, TimelineBook
from wedsync.clock import Clock
from wedsync.cluster import Server
from wedsync.config import Home
from wedsync.recovery.forecast import Phase
from wedsync.recovery.journal import Journal, JournalEntry
from wedsync.recovery.kept import Kept
from wedsync.recovery.secure import Report
from wedsync.state import StateStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """The server, the repositories, the journal of one home."""

    server: Server
    pgbackrest: PgBackRest
    state: StateStore
    clock: Clock
    settle: Callable[[], Awaitable[None]]
    """Called when the server takes writes again: roles and passwords are put right."""
    examine: Examine
    timelines: TimelineBook = field(init=False)
    journal: Journal = field(init=False)
    kept: Kept = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "timelines", TimelineBook(pgbackrest=self.pgbackrest, state=self.state))
        object.__setattr__(self, "journal", Journal(self.state))
        object.__setattr__(self, "kept", Kept(root=self.server.home.kept))

    @property
    def home(self) -> Home:
        """Where the server's files are."""
        return self.server.home

    async def start(self, report: Report) -> None:
        """Start the server as it is: to serve, or to go on replaying."""
        await self.server.start(
            archive_command=self.pgbackrest.archive_command(),
            deadline=self.pgbackrest.config.deadline,
            on_progress=lambda line: report(Phase.REPLAY, line),
        )

    def abandon(self, entry: JournalEntry) -> None:
        """End a recovery that has changed nothing."""
        self.kept.forget_links(entry.id, self.home.pgdata)
        self.journal.end(entry, "abandoned", at=self.clock.now())

    async def archived(self, system_id: str) -> set[str]:
        """The segments of a cluster that a repository holds; one that cannot be read counts as empty."""
        _, archives = await self.pgbackrest.holdings()
        return {name for item in archives if item.system_id == system_id for name in item.segments}
