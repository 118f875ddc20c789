"""The header `Prefer` (RFC 7240): what a client would like, beyond what it asks for."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from wedsync.api.rest.errors import preferences_invalid


class Resolution(StrEnum):
    """What happens to a row that is there already."""

    MERGE = "resolution=merge-duplicates"
    IGNORE = "resolution=ignore-duplicates"


class Return(StrEnum):
    """How much of the rows that were written comes back."""

    REPRESENTATION = "return=representation"
    MINIMAL = "return=minimal"
    HEADERS_ONLY = "return=headers-only"


class Count(StrEnum):
    """Whether the total is told, and how it is found."""

    EXACT = "count=exact"
    PLANNED = "count=planned"
    ESTIMATED = "count=estimated"


class Transaction(StrEnum):
    """How the transaction ends."""

    COMMIT = "tx=commit"
    ROLLBACK = "tx=rollback"


class Missing(StrEnum):
    """What a column gets that a row does not name."""

    DEFAULT = "missing=default"
    NULL = "missing=null"


class Handling(StrEnum):
    """What happens to a preference that is not known."""

    STRICT = "handling=strict"
    LENIENT = "handling=lenient"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """The preferences of one request; `None` where none was given."""

    resolution: Resolution | None = None
    representation: Return | None = None
    count: Count | None = None
    transaction: Transaction | None = None
    missing: Missing | None = None
    handling: Handling | None = None
    time_zone: str | None = None
    max_affected: int | None = None
    unknown: tuple[str, ...] = ()

    @property
    def most_affected(self) -> int | None:
        """How many rows may be affected at the most: only `handling=strict` makes it hold."""
        return self.max_affected if self.handling is Handling.STRICT else None

    @property
    def wants_rows(self) -> bool:
        """Whether the written rows are answered."""
        return self.representation is Return.REPRESENTATION

    @property
    def tells_count(self) -> bool:
        """Whether a write tells how many rows it affected."""
        return self.count in {Count.EXACT, Count.ESTIMATED}

    def require_known(self) -> None:
        """Raise PGRST122 if `handling=strict` came with a preference that is not known."""
        if self.unknown and self.handling is Handling.STRICT:
            raise preferences_invalid(self.unknown)

    def applied(
        self,
        *,
        resolution: bool = False,
        representation: bool = False,
        missing: bool = False,
        affected: bool = False,
    ) -> str | None:
        """The value of `Preference-Applied`, in PostgREST's order; a flag says that the request can apply it."""
        told = (
            self.resolution if resolution else None,
            self.missing if missing else None,
            self.representation if representation else None,
            self.count,
            self.transaction,
            self.handling,
            None if self.time_zone is None else f"timezone={self.time_zone}",
            None if not affected or self.most_affected is None else f"max-affected={self.most_affected}",
        )
        return ", ".join(str(each) for each in told if each is not None) or None


NO_PREFERENCES = Preferences()
_BY_WORD = {
    word.value: (name, word)
    for name, kind in (
        ("resolution", Resolution),
        ("representation", Return),
        ("count", Count),
        ("transaction", Transaction),
        ("missing", Missing),
        ("handling", Handling),
    )
    for word in kind
}


def preferences(header: bytes, *, allow_rollback: bool, time_zones: frozenset[str]) -> Preferences:
    """The preferences of a request's `Prefer` headers, joined by commas; of each kind the first counts.

    A time zone that PostgreSQL does not know counts as a preference that is not known.
    """
    found: dict[str, object] = {}
    unknown: list[str] = []
    for word in _words(header):
        known = _BY_WORD.get(word)
        if known is not None:
            if known[0] != "transaction" or allow_rollback:
                found.setdefault(*known)
            continue
        name, _, value = word.partition("=")
        if name == "timezone" and value in time_zones:
            found.setdefault("time_zone", value)
        elif name == "max-affected":
            if _is_number(value):
                found.setdefault("max_affected", int(value))
        else:
            unknown.append(word)
    return Preferences(**found, unknown=tuple(unknown))  # pyright: ignore[reportArgumentType] names and types are paired above


def _words(header: bytes) -> Iterable[str]:
    return filter(None, (word.strip() for word in header.decode("latin-1").split(",")))


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 18
