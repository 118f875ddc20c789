"""The changes that everybody applies: small, of four kinds, the same text for all."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One small change of the schema, and how it is undone."""

    number: int
    name: str
    forward: str
    back: str

    @property
    def id(self) -> str:
        return f"{self.number:04d}_{self.name}"


def small_changes(count: int) -> list[Change]:
    """A table, a column, an index, a row with a comment; then the next table."""
    return [_change(number) for number in range(1, count + 1)]


def tables_of(count: int) -> int:
    """How many tables there are afterwards."""
    return (count + 3) // 4


def one_column(table: str) -> Change:
    """The change that needs the table for itself, for a moment."""
    return Change(
        number=1,
        name="one_column",
        forward=f"alter table public.{table} add column seat text;\n",
        back=f"alter table public.{table} drop column seat;\n",
    )


def _change(number: int) -> Change:
    table = f"bench_{(number - 1) // 4:04d}"
    match (number - 1) % 4:
        case 0:
            name = "table"
            forward = (
                f"create table public.{table} (\n"
                "    id bigint generated always as identity primary key,\n"
                "    couple_id uuid not null,\n"
                "    name text not null check (name <> ''),\n"
                "    created_at timestamptz not null default now()\n"
                ");\n"
            )
            back = f"drop table public.{table};\n"
        case 1:
            name = "column"
            forward = f"alter table public.{table} add column note text;\n"
            back = f"alter table public.{table} drop column note;\n"
        case 2:
            name = "index"
            forward = f"create index {table}_by_couple on public.{table} (couple_id, created_at);\n"
            back = f"drop index public.{table}_by_couple;\n"
        case _:
            name = "row"
            forward = (
                f"comment on table public.{table} is 'guests of table {number}';\n"
                f"insert into public.{table} (couple_id, name) values (gen_random_uuid(), 'first');\n"
            )
            back = f"delete from public.{table} where name = 'first';\n"
    return Change(number=number, name=name, forward=forward, back=back)
