"""One transaction under way: what was asked, what has come back, who waits for it."""

import asyncio
from typing import TypeAlias

from wedsync.database.pipeline.failure import ServerError
from wedsync.database.pipeline.prepared import Prepared
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
        "answered",
        "asked_at",
        "expected",
        "future",
        "is_sent_whole",
        "refusal",
        "results",
        "started_at",
        "syncs",
        "tries",
        "without_names",
        "work",
    )

    def __init__(self, work: Work, future: "asyncio.Future[list[Result]]", asked_at: float) -> None:
        self.work = work
        self.future = future
        self.asked_at = asked_at
        self.tries = 0
        """How often it was sent."""
        self.without_names = False
        """Prepared statements are not to be used: the server has just refused one."""
        self.begin()

    def begin(self) -> None:
        """It is about to be sent: nothing has come back."""
        self.started_at = 0.0
        """When it came to the head of its connection; 0 before that."""
        self.is_sent_whole = False
        """Whether the kernel has taken all of it: before that the server cannot have committed it."""
        self.expected: list[Expected] = []
        """What each message that is answered was for, in their order."""
        self.answered = 0
        self.syncs = 1
        """ReadyForQuery still to come."""
        self.results: list[Result] = []
        self.refusal: ServerError | None = None

    @property
    def is_at_commit(self) -> bool:
        """Whether every message was answered: what is still to come is the outcome of the transaction."""
        return self.answered >= len(self.expected)
