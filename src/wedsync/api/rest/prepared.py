"""A request that was planned, with all that its answer has in common with others of its shape."""

from dataclasses import dataclass

from wedsync.api.rest.plan import Body, Plan, Slot
from wedsync.api.rest.query import Given
from wedsync.api.rest.request import Action

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is kept by shape: the plan, and what its answers have in common."""

    action: Action
    plan: Plan | None
    """`None`: the answer needs no database."""
    headers: tuple[Header, ...]
    """Of every answer, whatever the rows."""
    body_headers: tuple[Header, ...] = ()
    """Of answers with a body."""
    body: bytes = b""
    """Of an answer without a plan."""
    address: bytes = b""
    """Of the table: `Location` and `Content-Location` begin with it."""
    has_body: bool = True
    """Whether rows are answered."""
    tells_total: bool = False
    """Whether a write tells how many rows it affected."""
    merges: bool = False
    """An upsert: it has another status where no row was new."""
    one_object: bool = False
    """Whether a result of other than one row is an error that is found out here: of what only reads."""
    is_guarded: bool = False
    """Whether the statement refuses some numbers of rows itself."""
    undo: bool = False
    settings: tuple[tuple[str, bytes], ...] = ()
    """Of the transaction, besides those that all have."""
    statement_timeout_ms: int | None = None
    """Of the function, where it has its own."""


def parameters(slots: tuple[Slot, ...], values: tuple[str, ...], body: bytes) -> list[bytes | None]:
    """What the statement's `$1 …` are for this request; a value that cannot be converted raises `RestError`."""
    filled: list[bytes | None] = []
    for slot in slots:
        source = slot.source
        if isinstance(source, Given):
            value = values[source.number]
            filled.append((slot.convert(value) if slot.convert is not None else value).encode())
        else:
            filled.append(body if isinstance(source, Body) else source)
    return filled
