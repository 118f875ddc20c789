"""A table whose past rows lie beside the present ones, in temporary tables of one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from wedsync.rows.pairing import Pairing
from wedsync.rows.reading import columns_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The rows of one table that are to be as they were: those for which `where` holds, then or now.

    A row for which it held only then, or holds only now, is somebody else's.
    """

    table: str
    where: Composable
    whole: bool = False
    """Whether that is every row of the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """One table: `past` holds its rows of the past that may differ, `diff` a line for each that does differ.

    The columns of `diff` are those of the key and `ws_…`: kind, key (as the history writes it), hashes of the row
    then and now, which columns differ, the present row (`ws_before`), decision, and why it is in conflict.
    """

    pairing: Pairing
    number: int
    scope: Scope

    @property
    def name(self) -> str:
        return self.pairing.table.name

    @property
    def table(self) -> Identifier:
        return self.pairing.table.identifier

    @property
    def past(self) -> Identifier:
        return Identifier("pg_temp", f"ws_past_{self.number}")

    @property
    def diff(self) -> Identifier:
        return Identifier("pg_temp", f"ws_diff_{self.number}")

    @property
    def written(self) -> tuple[str, ...]:
        """Every column that can be written, in the order of `ws_before`."""
        return tuple(column.name for column in self.pairing.table.columns if not column.generated)

    def same_key(self, one: str, other: str) -> Composed:
        """Two aliases that stand for the same row."""
        return SQL(" and ").join(
            SQL("{} = {}").format(Identifier(one, name), Identifier(other, name)) for name in self.pairing.key
        )

    def key_as_json(self, alias: str | None = None) -> Composed:
        """The key of a row, as the history writes it."""
        return SQL("jsonb_build_array({})").format(columns_of(self.pairing.key, alias))

    def before(self, name: str) -> Composed:
        """A column of the present row, of `diff` as `d`."""
        column = self.pairing.table.column(name)
        assert column is not None  # noqa: S101 - the names come from the same table
        return SQL("(d.ws_before)[{}]::{}").format(Literal(self.written.index(name) + 1), type_of(column.type))


def any_row(query: Composable) -> Composed:
    """Whether a query that depends on the row `d` has a row, asked for each `d` by index.

    An EXISTS may become a join that reads the whole table for the sake of a few rows.
    """
    return SQL("coalesce((select true {} limit 1), false)").format(query)


def effective(alias: str) -> Composed:
    """Of a row of `diff`: it is brought back, or would be if so chosen."""
    return SQL("({0}.ws_decision = 'past' or {0}.ws_decision = 'ask' and not {0}.ws_final)").format(
        Identifier(alias)
    )


def type_of(name: str) -> SQL:
    """A type by the name that PostgreSQL's `format_type` gave it."""
    return SQL(name)  # pyright: ignore[reportArgumentType]


def staged_of(staged: Sequence[Staged], table: str) -> Staged | None:
    """The staged table of this name, if it is one of those that differ."""
    return next((item for item in staged if item.name == table), None)
