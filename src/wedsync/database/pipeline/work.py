"""What a request asks of the database, and what it gets."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement with `$1 …`; its parameters are text, of unknown type: PostgreSQL infers them."""

    text: bytes
    parameters: Sequence[bytes | None] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One transaction in one round trip: become a role, set what holds for it, run the statements.

    The settings (`request.jwt.claims`, `request.id`, `search_path`, …) are local to the transaction. An error in
    any statement undoes all.
    """

    role: str
    settings: tuple[tuple[str, bytes], ...]
    """Names and values for `set_config(…, true)`, besides role, read-only and statement timeout."""
    statements: tuple[Statement, ...]
    read_only: bool
    statement_timeout_ms: int
    undo: bool = False
    """Roll back at the end even if all went well: `Prefer: tx=rollback`."""
    calls: bool = False
    """A function of the database's is called, which may do to its session what it likes: that is cleaned away."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one statement gave: rows in text format, as bytes."""

    columns: tuple[str, ...]
    rows: list[tuple[bytes | None, ...]]
    affected: int | None
    """Rows of the command tag (`INSERT 0 3`); `None` where the tag has none."""
