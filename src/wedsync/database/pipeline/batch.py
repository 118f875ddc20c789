"""One transaction under way: what was asked, what has come back, who waits for it."""

import asyncio
from typing import TypeAlias

from wedsync.database.pipeline.failure import ServerError
from wedsync.database.pipeline.history import History
from wedsync.database.pipeline.placement import SLOW_S
from wedsync.database.pipeline.prepared import Prepared
from wedsync.database.pipeline.retries import Attempt
from wedsync.database.pipeline.work import Result, Work

UNNAMED = Prepared(b"")
"""Stands for a statement that was sent without a name."""


class Parse:
    """A Parse whose answer decides whether a name is good."""

    __slots__ = ("role", "text")

    def __init__(self, role: str, text: bytes) -> None:
        self.role = role
        self.text = text


Expected: TypeAlias = Prepared | Parse | None
"""What an answer is for: the rows of a statement, the good of a name, or nothing but its success."""


class Batch:
    """The work of one request and where it stands. Mutable: it belongs to the pool and its connections."""

    __slots__ = (
        "alone",
        "answered",
        "asked_at",
        "cleans",
        "command",
        "cost_s",
        "expected",
        "future",
        "history",
        "is_asked_elsewhere",
        "is_commit_doubtful",
        "is_leased",
        "is_refused_at_commit",
        "is_sent_whole",
        "is_settled",
        "is_too_large",
        "mistake",
        "queued_at",
        "refusal",
        "results",
        "started_at",
        "syncs",
        "tag",
        "tries",
        "without_names",
        "work",
    )

    def __init__(
        self, work: Work, future: "asyncio.Future[list[Result]]", history: History, *, asked_at: float
    ) -> None:
        self.work = work
        self.future = future
        self.history = history
        self.asked_at = asked_at
        self.queued_at = asked_at
        """When it was last told to wait for a connection."""
        self.command: bytes | None = None
        """Sent instead of the work: begin, commit or rollback of a lent connection."""
        self.is_asked_elsewhere = False
        """It was sent on another connection as well, and whichever answers first is heard."""
        self.is_leased = False
        """It belongs to a transaction of its caller's: it is not run again."""
        self.cleans = work.calls
        """What it leaves in the session is to be cleaned away when it has ended."""
        self.tag: bytes | None = None
        """What the server answered to the command."""
        self.tries = 0
        """How often it was sent."""
        self.without_names = False
        """Prepared statements are not to be used: the server has just refused one."""
        self.alone = history.usual_s >= SLOW_S
        """Nothing is to be queued behind it."""
        self.begin()

    def begin(self) -> None:
        """It is about to be sent: nothing has come back."""
        self.cost_s = self.history.usual_s
        self.started_at = 0.0
        """When it came to the head of its connection; 0 before that."""
        self.is_sent_whole = False
        """Whether the kernel has taken all of it: before that the server cannot have committed it."""
        self.expected: list[Expected] = []
        """What each message that is answered was for, in their order."""
        self.answered = 0
        self.syncs = 1
        """ReadyForQuery still to come."""
        self.is_settled = False
        """Its outcome is known; what comes still is of the rollback and the cleaning behind it."""
        self.results: list[Result] = []
        self.refusal: ServerError | None = None
        self.is_refused_at_commit = False
        self.is_commit_doubtful = False
        """It is committed here, and whether a receiver of WAL has it is not known: the wait was broken off."""
        self.mistake: Exception | None = None
        """The work cannot be sent as it is; what was sent of it is undone."""
        self.is_too_large = False

    @property
    def is_at_commit(self) -> bool:
        """Whether every message was answered: what is still to come is the outcome of the transaction."""
        return self.answered >= len(self.expected)

    def attempt(self, *, was_cancelled: bool = False) -> Attempt:
        """How it stands, for the decision whether to run it again."""
        return Attempt(
            changes_nothing=self.work.read_only or self.work.undo,
            tries=self.tries,
            was_cancelled=was_cancelled,
            is_sent_whole=self.is_sent_whole,
            is_at_commit=self.is_refused_at_commit,
        )
