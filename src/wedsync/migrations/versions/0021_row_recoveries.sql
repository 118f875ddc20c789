-- depends: 0014_photo_groups, 0016_audit_months
-- One couple's rows brought back: what was there before it, so that it can be undone; and triggers that also see what
-- is written as a replica does.
--
-- Rows are brought back with session_replication_role = replica: triggers that touch, guard or derive would alter them.
-- Those that write down what happened (the history, the counters of photo groups) fire always.

-- What undo needs -------------------------------------------------------------------------------------

create table ops.row_recoveries (
    id uuid primary key,
    at timestamptz not null default clock_timestamp(),
    transaction_id xid8 not null default pg_current_xact_id(),
    scope text not null,
    belongs_to jsonb not null default '{}',
    restored_to timestamptz,
    by text not null,
    reason text,
    undoes uuid,
    undone_by uuid,
    put_back bigint not null check (put_back >= 0),
    changed bigint not null check (changed >= 0),
    removed bigint not null check (removed >= 0),
    kept bigint not null check (kept >= 0),
    expires_at timestamptz not null
);
comment on table ops.row_recoveries is 'Each time that rows were brought back from a moment of the past: whose, by whom, why.';
comment on column ops.row_recoveries.belongs_to is 'Whose rows they are, as {"couple_id": …}.';
comment on column ops.row_recoveries.restored_to is 'The moment whose rows came back; NULL for an undo.';
comment on column ops.row_recoveries.expires_at is 'Until when it can be undone.';
create index row_recoveries_by_time on ops.row_recoveries (at);

create table ops.row_recovery_rows (
    recovery_id uuid not null references ops.row_recoveries on delete cascade,
    table_name text not null,
    row_key jsonb not null,
    kind text not null check (kind in ('returns', 'changes', 'vanishes')),
    belongs_to jsonb not null default '{}',
    columns text[] not null,
    before text[],
    after_hash bigint,
    primary key (recovery_id, table_name, row_key),
    constraint row_recovery_rows_before check ((before is null) = (kind = 'returns'))
);
comment on table ops.row_recovery_rows is 'The rows that a recovery wrote or removed, as they were before it.';
comment on column ops.row_recovery_rows.before is 'The values of `columns`, as text; NULL: there was no such row.';
comment on column ops.row_recovery_rows.after_hash is 'A hash of the row as the recovery left it; NULL: it removed it.';

do $$
declare
    name text;
begin
    foreach name in array array['row_recoveries', 'row_recovery_rows'] loop
        execute format($sql$
            alter table ops.%1$I enable row level security;
            alter table ops.%1$I force row level security;
            revoke all on ops.%1$I from anon, authenticated, service_role;
        $sql$, name);
    end loop;
end
$$;

create function ops.forget_row_recoveries() returns bigint
    language plpgsql volatile
    set search_path = ''
as $$
declare
    forgotten bigint;
begin
    -- That it happened stays; the values go.
    delete from ops.row_recovery_rows r using ops.row_recoveries v
     where v.id = r.recovery_id and v.expires_at < clock_timestamp();
    get diagnostics forgotten = row_count;
    return forgotten;
end
$$;
comment on function ops.forget_row_recoveries() is
    'Routine: removes the values of recoveries that can no longer be undone; gives how many rows.';
insert into ops.routines (name, every) values ('forget_row_recoveries', interval '1 hour');

create function ops.erase_row_recoveries(p_column text, p_subject uuid, p_email text) returns bigint
    language plpgsql volatile
    set search_path = ''
as $$
declare
    erased bigint;
begin
    -- Of a tenant by whose row it is; of a person also every row that names the id or the address anywhere.
    delete from ops.row_recovery_rows r
     where r.belongs_to ->> p_column = p_subject::text
        or position(p_subject::text in array_to_string(r.before, ' ')) > 0
        or p_email <> '' and position(lower(p_email) in lower(array_to_string(r.before, ' '))) > 0;
    get diagnostics erased = row_count;
    return erased;
end
$$;
comment on function ops.erase_row_recoveries(text, uuid, text) is
    'Takes a couple, an organization or a user out of what undo keeps; gives how many rows.';

-- Triggers that see everything -------------------------------------------------------------------------

create or replace function audit.watch(p_table regclass, p_left_out text[] default null) returns void
    language plpgsql
    set search_path = ''
as $$
-- Idempotent; again after the table was renamed or got another key. Columns that hold secrets are left out by
-- their names unless p_left_out says which are.
declare
    columns text[];
    label text;
    key text[];
    left_out text[];
    couple text := '';
    organization text := '';
    arguments text;
    event text;
    part regclass;
begin
    select n.nspname || '.' || c.relname into label
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.oid = p_table and c.relkind in ('r', 'p');
    if label is null then
        raise exception 'audit: % is not a table', p_table using errcode = 'wrong_object_type';
    end if;
    select array_agg(attname::text order by attnum) into columns
      from pg_catalog.pg_attribute where attrelid = p_table and attnum > 0 and not attisdropped;
    select array_agg(a.attname::text order by k.n) into key
      from pg_catalog.pg_index i
     cross join unnest(i.indkey::smallint[]) with ordinality as k (attnum, n)
      join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
     where i.indrelid = p_table and i.indisprimary;
    if key is null then
        raise exception 'audit: % has no primary key', p_table
            using errcode = 'invalid_table_definition', hint = 'versions of a row are told apart by its key';
    end if;
    left_out := coalesce(p_left_out, array(
        select name from unnest(columns) as name
         where name ~ '(^|_)(password|passphrase|secret|token|otp|ciphertext|key_hash|code_hash)(_|$)'
           and not name = any (key)));
    if not left_out <@ columns or left_out && key then
        raise exception 'audit: % cannot be left out of %', left_out, p_table
            using errcode = 'undefined_column', hint = 'name columns of the table that are not in its key';
    end if;
    if p_table = to_regclass('public.couples') then
        couple := 'id';
    elsif 'couple_id' = any (columns) then
        couple := 'couple_id';
    end if;
    if p_table = to_regclass('public.organizations') then
        organization := 'id';
    elsif 'organization_id' = any (columns) then
        organization := 'organization_id';
    end if;
    select string_agg(quote_literal(word), ', ' order by n) into arguments
      from unnest(array[label, couple, organization, left_out::text] || key) with ordinality as words (word, n);
    foreach event in array array['insert', 'update', 'delete', 'truncate'] loop
        execute format('drop trigger if exists %I on %s', 'audit_' || event, p_table);
        execute format(
            'create trigger %I %s %s on %s %s for each statement execute function audit.record(%s)',
            'audit_' || event, case event when 'truncate' then 'before' else 'after' end, event, p_table,
            case event when 'insert' then 'referencing new table as new_rows'
                       when 'update' then 'referencing old table as old_rows new table as new_rows'
                       when 'delete' then 'referencing old table as old_rows'
                       else '' end,
            arguments);
        execute format('alter table %s enable always trigger %I', p_table, 'audit_' || event);
    end loop;
    insert into audit.watched (table_name, left_out) values (label, left_out)
        on conflict (table_name) do update set left_out = excluded.left_out;
    -- Whoever writes to a partition itself passes by the triggers of its parent.
    for part in select inhrelid::regclass from pg_catalog.pg_inherits where inhparent = p_table loop
        perform audit.watch(part, p_left_out);
    end loop;
end
$$;

create or replace function audit.end_load(p_tables regclass[]) returns void
    language plpgsql
    set search_path = ''
as $$
declare
    name regclass;
    event text;
    loaded bigint;
begin
    foreach name in array p_tables loop
        execute format('select count(*) from %s', name) into loaded;
        foreach event in array array['insert', 'update', 'delete', 'truncate'] loop
            execute format('alter table %s enable always trigger %I', name, 'audit_' || event);
        end loop;
        update audit.loads l set row_count = loaded
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.oid = name and l.table_name = n.nspname || '.' || c.relname
           and l.transaction_id = pg_current_xact_id();
        if not found then
            raise exception 'audit: % was not being loaded', name
                using errcode = 'object_not_in_prerequisite_state',
                      hint = 'call audit.begin_load first, in the same transaction';
        end if;
    end loop;
end
$$;

-- lint: allow dynamic-sql because it only marks triggers that are there already, each by its own name
do $$
declare
    found record;
begin
    for found in
        select t.tgrelid::regclass as of_table, t.tgname as name
          from pg_catalog.pg_trigger t
         where t.tgparentid = 0 and not t.tgisinternal and t.tgenabled = 'O'
           and t.tgfoid in ('audit.record'::regproc, 'ops.count_photo_groups'::regproc)
         order by t.tgrelid::regclass::text
    loop
        execute format('alter table %s enable always trigger %I', found.of_table, found.name);
    end loop;
end
$$;
