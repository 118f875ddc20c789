"""The two files of a new migration."""

import re
from dataclasses import dataclass
from pathlib import Path

from wedsync.errors import UsageProblem
from wedsync.migrations.files.directory import SHIPPED, read_files
from wedsync.migrations.files.migration import migration_id

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")

_PLAIN = """\
-- What this changes and why, in a sentence or two.
--
-- Options, one to a line below this comment, where they are needed:
--     "depends: 0003_guests" runs it after that file, whatever the numbers;
--     "transaction: none" lets each statement commit by itself (CREATE INDEX CONCURRENTLY).
-- Once it has run anywhere it is never edited: write the next one. wedsync migrate plan says what it would do.
"""

_PLAIN_ROLLBACK = """\
-- Undoes {id}.sql: afterwards the catalogue is as it was before. Say here what data is lost.
"""

_TABLE = """\
-- What one row of it is, and who needs it.
--
-- A table about a wedding. For one about a business: organization_id in place of couple_id, app.my_organizations()
-- and app.my_organizations('{{owner,staff}}') in place of app.my_couples() and app.my_editable_couples().
-- Once this has run anywhere it is never edited: write the next one.

create table public.{name} (
    couple_id uuid not null references public.couples on delete cascade,
    id uuid not null default app.uuid_v7(),
    title text not null check (length(title) between 1 and 200),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- The tenant leads every key: policies use its index, and foreign keys carry it along.
    primary key (couple_id, id)
);
comment on table public.{name} is 'What one row is.';

create trigger touch before update on public.{name} for each row execute function app.touch();
select audit.watch('public.{name}');

-- Nobody sees another tenant's row, whatever else is allowed …
alter table public.{name} enable row level security;
alter table public.{name} force row level security;
create policy tenant on public.{name} as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
-- … and inside a tenant a role may do this. Calls stay in (select …): once a statement, not once a row.
create policy read on public.{name} for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.{name} for insert to authenticated
    with check (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy change on public.{name} for update to authenticated
    using (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy remove on public.{name} for delete to authenticated
    using (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy service on public.{name} to service_role using (true) with check (true);

grant select, insert, delete on public.{name} to authenticated;
-- Not couple_id, not id: a row does not move to another tenant by an update.
grant update (title) on public.{name} to authenticated;
grant select, insert, update, delete on public.{name} to service_role;
"""

_TABLE_ROLLBACK = """\
-- Undoes {id}.sql: afterwards the catalogue is as it was before. Loses every row of the table; what the audit
-- knows of them stays.

drop table public.{name};
delete from audit.watched where table_name = 'public.{name}';
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMigration:
    """The files that `new` wrote."""

    id: str
    forward: Path
    rollback: Path

    def to_json(self) -> dict[str, object]:
        return {"id": self.id, "forward": str(self.forward), "rollback": str(self.rollback)}


def new_migration(name: str, *, directory: Path = SHIPPED, table: bool = False) -> NewMigration:
    """Write the two files of a new migration with the next free number; never overwrites.

    With `table` they make a table of that name with all that one needs, and drop it; else they are comments, and
    refused as empty until somebody writes them.
    """
    words = name.strip().lower().replace("-", "_").replace(" ", "_")
    if _NAME.fullmatch(words) is None:
        raise UsageProblem(
            f"{name!r} cannot be the name of a migration",
            hint="lower-case words that say what changes: wedsync migrate new seating_plan",
        )
    number = max((file.number for file in read_files(directory).files), default=0) + 1
    identity = migration_id(number, words)
    written = NewMigration(
        id=identity,
        forward=directory / f"{identity}.sql",
        rollback=directory / f"{identity}.rollback.sql",
    )
    forward, rollback = (_TABLE, _TABLE_ROLLBACK) if table else (_PLAIN, _PLAIN_ROLLBACK)
    for path, text in ((written.forward, forward), (written.rollback, rollback)):
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text.format(name=words, id=identity))
    return written
