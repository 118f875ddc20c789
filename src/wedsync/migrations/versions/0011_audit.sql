-- depends: 0010_money
-- Who changed what, when, from where: every insert, update, delete and truncate of every table.
--
-- A table is watched by one line in its migration: select audit.watch('public.seats');
-- Statement triggers with transition tables write one version a row. Versions are only ever added; what may
-- still happen to them is a month that is dropped (audit.drop_partitions) and an erasure (audit.erasures).

create sequence audit.version_number;
comment on sequence audit.version_number is
    'Order of versions and loads: of one row, the later change has the higher number.';

create table audit.record_version (
    id bigint not null default nextval('audit.version_number'),
    changed_at timestamptz not null,
    transaction_id xid8 not null,
    table_name text not null,
    operation text not null,
    statement text not null,
    couple_id uuid,
    organization_id uuid,
    row_key jsonb,
    user_id uuid,
    role_name text not null,
    session_name text not null,
    application_name text,
    client_address inet,
    forwarded_for text,
    request_id text,
    old_row jsonb,
    new_row jsonb,
    erasure_id uuid
) partition by range (changed_at);
comment on table audit.record_version is 'One row for each row that a statement added, changed or removed.';
comment on column audit.record_version.changed_at is
    'The clock during the statement; when it became visible: audit.committed_at().';
comment on column audit.record_version.operation is
    'What happened to this key; a changed key is a delete and an insert.';
comment on column audit.record_version.statement is 'The command: INSERT, UPDATE, DELETE or TRUNCATE.';
comment on column audit.record_version.row_key is 'Values of the primary key, in its order.';
comment on column audit.record_version.user_id is 'auth.uid(): who was signed in.';
comment on column audit.record_version.role_name is
    'The role in force: authenticated, service_role, a person''s own.';
comment on column audit.record_version.session_name is 'The role that connected.';
comment on column audit.record_version.forwarded_for is
    'The client behind the gateway: setting request.forwarded_for.';
comment on column audit.record_version.request_id is 'The request at the gateway: setting request.id.';
comment on column audit.record_version.old_row is 'The whole row before; secret columns are left out.';
comment on column audit.record_version.new_row is 'The whole row after; secret columns are left out.';
comment on column audit.record_version.erasure_id is 'The erasure that took values away; the fact stays.';
create index record_version_by_couple on audit.record_version (couple_id, changed_at) where couple_id is not null;
create index record_version_by_organization on audit.record_version (organization_id, changed_at)
    where organization_id is not null;

create table audit.watched (
    table_name text primary key,
    watched_since timestamptz not null default now(),
    left_out text[] not null
);
comment on table audit.watched is 'Tables whose changes are recorded, since when, and without which columns.';

create table audit.loads (
    id bigint primary key default nextval('audit.version_number'),
    loaded_at timestamptz not null default clock_timestamp(),
    transaction_id xid8 not null default pg_current_xact_id(),
    table_name text not null,
    row_count bigint not null check (row_count >= 0),
    session_name text not null default session_user,
    application_name text default current_setting('application_name'),
    client_address inet default inet_client_addr()
);
comment on table audit.loads is
    'An empty table was filled in bulk: one row here stands for the inserts of all its rows.';
create index loads_by_table on audit.loads (table_name, id);

create table audit.erasures (
    id uuid primary key,
    erased_at timestamptz not null default clock_timestamp(),
    transaction_id xid8 not null default pg_current_xact_id(),
    subject_kind text not null check (subject_kind in ('couple', 'organization', 'user')),
    subject_id uuid not null,
    by text not null,
    session_name text not null default session_user,
    versions bigint not null check (versions >= 0)
);
comment on table audit.erasures is
    'Each time that values were taken out of the history, by whom, of how many versions.';

-- Recording -------------------------------------------------------------------------------------------

create function audit.record() returns trigger
    language plpgsql security definer
    set search_path = '' set timezone = 'UTC' set enable_nestloop = off set plan_cache_mode = force_generic_plan
as $$
-- Arguments: table, column of the couple ('' if none), column of the organization, columns left out, then the
-- columns of the key. Rows of the two transition tables are in the same order: the n-th old became the n-th
-- new. Plans are kept for the session (planning an update took as long as all the rest), made when a statement had
-- perhaps one row: no nested loops.
declare
    seen_at constant timestamptz := clock_timestamp();
    xact constant xid8 := pg_current_xact_id();
    uid constant uuid := nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '');
    in_force constant text := coalesce(nullif(current_setting('role'), 'none'), session_user);
    program constant text := nullif(current_setting('application_name'), '');
    address constant inet := inet_client_addr();
    forwarded constant text := nullif(current_setting('request.forwarded_for', true), '');
    request constant text := nullif(current_setting('request.id', true), '');
    couple constant text := tg_argv[1];
    organization constant text := tg_argv[2];
    left_out constant text[] := nullif(tg_argv[3], '{}');
    k1 constant text := tg_argv[4];
    k2 constant text := tg_argv[5];
    k3 constant text := tg_argv[6];
    key constant text[] := tg_argv[4:tg_nargs - 1];
begin
    case tg_op
    when 'INSERT' then
        insert into audit.record_version (
            changed_at, transaction_id, table_name, operation, statement, couple_id, organization_id, row_key,
            user_id, role_name, session_name, application_name, client_address, forwarded_for, request_id, new_row)
        select seen_at, xact, tg_argv[0], 'insert', tg_op, (r.new ->> couple)::uuid, (r.new ->> organization)::uuid,
               case when k2 is null then jsonb_build_array(r.new -> k1)
                    when k3 is null then jsonb_build_array(r.new -> k1, r.new -> k2)
                    when cardinality(key) = 3 then jsonb_build_array(r.new -> k1, r.new -> k2, r.new -> k3)
                    else (select jsonb_agg(r.new -> k order by n) from unnest(key) with ordinality as of_key (k, n))
               end,
               uid, in_force, session_user, program, address, forwarded, request, r.new
          from (select case when left_out is null then to_jsonb(n) else to_jsonb(n) - left_out end as new
                  from new_rows n offset 0) as r;
    when 'DELETE' then
        insert into audit.record_version (
            changed_at, transaction_id, table_name, operation, statement, couple_id, organization_id, row_key,
            user_id, role_name, session_name, application_name, client_address, forwarded_for, request_id, old_row)
        select seen_at, xact, tg_argv[0], 'delete', tg_op, (r.old ->> couple)::uuid, (r.old ->> organization)::uuid,
               case when k2 is null then jsonb_build_array(r.old -> k1)
                    when k3 is null then jsonb_build_array(r.old -> k1, r.old -> k2)
                    when cardinality(key) = 3 then jsonb_build_array(r.old -> k1, r.old -> k2, r.old -> k3)
                    else (select jsonb_agg(r.old -> k order by n) from unnest(key) with ordinality as of_key (k, n))
               end,
               uid, in_force, session_user, program, address, forwarded, request, r.old
          from (select case when left_out is null then to_jsonb(o) else to_jsonb(o) - left_out end as old
                  from old_rows o offset 0) as r;
    when 'UPDATE' then
        insert into audit.record_version (
            changed_at, transaction_id, table_name, operation, statement, couple_id, organization_id, row_key,
            user_id, role_name, session_name, application_name, client_address, forwarded_for, request_id,
            old_row, new_row)
        select seen_at, xact, tg_argv[0],
               case when not p.moved then 'update' when p.part = 1 then 'delete' else 'insert' end, tg_op,
               (p.row ->> couple)::uuid, (p.row ->> organization)::uuid,
               case when k2 is null then jsonb_build_array(p.row -> k1)
                    when k3 is null then jsonb_build_array(p.row -> k1, p.row -> k2)
                    when cardinality(key) = 3 then jsonb_build_array(p.row -> k1, p.row -> k2, p.row -> k3)
                    else (select jsonb_agg(p.row -> k order by n) from unnest(key) with ordinality as of_key (k, n))
               end,
               uid, in_force, session_user, program, address, forwarded, request,
               case when p.part = 1 then p.old end,
               case when not p.moved or p.part = 2 then p.new end
          from (select m.*, case when m.moved and m.part = 1 then m.old else m.new end as row
                  from (select x.*, generate_series(1, case when x.moved then 2 else 1 end) as part
                          from (select o.old, n.new,
                                       o.old -> k1 <> n.new -> k1
                                       or o.old -> couple is distinct from n.new -> couple
                                       or o.old -> organization is distinct from n.new -> organization
                                       or k2 is not null and o.old -> k2 <> n.new -> k2
                                       or k3 is not null and exists (
                                           select from unnest(key) as k where o.old -> k <> n.new -> k) as moved
                                  from (select case when left_out is null then to_jsonb(t)
                                                    else to_jsonb(t) - left_out end as old,
                                               row_number() over () as number
                                          from old_rows t) as o
                                  join (select case when left_out is null then to_jsonb(t)
                                                    else to_jsonb(t) - left_out end as new,
                                               row_number() over () as number
                                          from new_rows t) as n using (number)
                                offset 0) as x) as m
                offset 0) as p;
    when 'TRUNCATE' then
        execute format(
            'insert into audit.record_version (
                 changed_at, transaction_id, table_name, operation, statement, couple_id, organization_id, row_key,
                 user_id, role_name, session_name, application_name, client_address, forwarded_for, request_id,
                 old_row)
             select $1, $2, $3, ''delete'', ''TRUNCATE'', (r.old ->> $4)::uuid, (r.old ->> $5)::uuid,
                    (select jsonb_agg(r.old -> k order by n) from unnest($6) with ordinality as of_key (k, n)),
                    $7, $8, session_user, $9, $10, $11, $12, r.old
               from (select to_jsonb(t) - $13 as old from only %s t offset 0) as r', tg_relid::regclass)
        using seen_at, xact, tg_argv[0], couple, organization, key, uid, in_force, program, address, forwarded,
              request, coalesce(left_out, '{}');
    end case;
    return null;
end
$$;
comment on function audit.record() is 'Trigger of every watched table: writes the versions of a statement.';

create function audit.watch(p_table regclass, p_left_out text[] default null) returns void
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
    end loop;
    insert into audit.watched (table_name, left_out) values (label, left_out)
        on conflict (table_name) do update set left_out = excluded.left_out;
    -- Whoever writes to a partition itself passes by the triggers of its parent.
    for part in select inhrelid::regclass from pg_catalog.pg_inherits where inhparent = p_table loop
        perform audit.watch(part, p_left_out);
    end loop;
end
$$;
comment on function audit.watch(regclass, text[]) is
    'Record all changes of a table from now on; one line in its migration.';

create function audit.unwatched() returns setof regclass
    language sql stable
    set search_path = ''
as $$
    select c.oid::regclass
      from pg_catalog.pg_class c
     where c.relnamespace in ('public'::regnamespace, 'auth'::regnamespace, 'app'::regnamespace)
       and c.relkind in ('r', 'p')
       and not exists (select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
       and 4 > (select count(*) from pg_catalog.pg_trigger t
                 where t.tgrelid = c.oid and t.tgfoid = 'audit.record'::regproc and t.tgenabled in ('O', 'A'))
     order by 1
$$;
comment on function audit.unwatched() is
    'Tables of public, auth and app whose changes are not recorded: there should be none.';

-- Filling an empty table in bulk ----------------------------------------------------------------------

create function audit.begin_load(p_tables regclass[]) returns void
    language plpgsql
    set search_path = ''
as $$
declare
    name regclass;
    event text;
    filled boolean;
begin
    foreach name in array p_tables loop
        execute format('lock table %s in share row exclusive mode', name);
        execute format('select exists (select from %s)', name) into filled;
        if filled then
            raise exception 'audit: % is not empty', name

                using errcode = 'object_not_in_prerequisite_state', hint = 'load into empty tables, or insert rows';
        end if;
        foreach event in array array['insert', 'update', 'delete', 'truncate'] loop
            execute format('alter table %s disable trigger %I', name, 'audit_' || event);
        end loop;
        insert into audit.loads (table_name, row_count)
        select n.nspname || '.' || c.relname, 0
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.oid = name;
    end loop;
end
$$;
comment on function audit.begin_load(regclass[]) is
    'Fill empty tables without a version a row, in this transaction; the tables'' owner only.';

create function audit.end_load(p_tables regclass[]) returns void
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
            execute format('alter table %s enable trigger %I', name, 'audit_' || event);
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
comment on function audit.end_load(regclass[]) is 'Record changes again, and how many rows were loaded.';

create function audit.require_load_ended() returns trigger
    language plpgsql
    set search_path = ''
as $$
begin
    if exists (select from audit.unwatched() as name where name = to_regclass(new.table_name)) then
        raise exception 'audit: the load of % did not end', new.table_name
            using errcode = 'object_not_in_prerequisite_state', hint = 'call audit.end_load before the commit';
    end if;
    return null;
end
$$;
comment on function audit.require_load_ended() is 'Trigger at commit: no table stays unwatched after a load.';
create constraint trigger ended after insert on audit.loads
    deferrable initially deferred for each row execute function audit.require_load_ended();

-- Append-only -----------------------------------------------------------------------------------------

create function audit.refuse() returns trigger
    language plpgsql
    set search_path = ''
as $$
-- One thing is allowed: to take values out of versions, in the transaction that writes the erasure down.
declare
    erasable constant text[] :=
        '{old_row,new_row,row_key,client_address,forwarded_for,application_name,erasure_id}';
    counts constant text[] := '{row_count,versions}';   -- written at the end of the same transaction
begin
    if tg_op = 'UPDATE' and tg_table_name in ('loads', 'erasures') then
        if old.transaction_id = pg_current_xact_id() and to_jsonb(new) - counts = to_jsonb(old) - counts then
            return new;
        end if;
    elsif tg_op = 'UPDATE' then
        if to_jsonb(new) - erasable = to_jsonb(old) - erasable
            and (new.old_row is null or new.old_row = old.old_row)
            and (new.new_row is null or new.new_row = old.new_row)
            and (new.row_key is null or new.row_key = old.row_key)
            and (new.client_address is null or new.client_address = old.client_address)
            and (new.forwarded_for is null or new.forwarded_for = old.forwarded_for)
            and (new.application_name is null or new.application_name = old.application_name)
            and exists (select from audit.erasures e
                         where e.id = new.erasure_id and e.transaction_id = pg_current_xact_id())
        then
            return new;
        end if;
    end if;
    raise exception 'audit: the history is only added to, not %', lower(tg_op) || 'd'
        using errcode = 'insufficient_privilege',
              hint = 'values are taken out by wedsync tenant erase, old months by audit.drop_partitions';
end
$$;
comment on function audit.refuse() is 'Trigger: what is recorded stays as it was recorded, also for the owner.';

create trigger append_only before update or delete on audit.record_version
    for each row execute function audit.refuse();
create trigger append_only_truncate before truncate on audit.record_version
    for each statement execute function audit.refuse();
create trigger append_only before update or delete on audit.loads
    for each row execute function audit.refuse();
create trigger append_only_truncate before truncate on audit.loads
    for each statement execute function audit.refuse();
create trigger append_only before update or delete on audit.erasures
    for each row execute function audit.refuse();
create trigger append_only_truncate before truncate on audit.erasures
    for each statement execute function audit.refuse();

-- Months ----------------------------------------------------------------------------------------------

create function audit.add_partition(p_name text, p_bounds text) returns void
    language plpgsql
    set search_path = ''
as $$
begin
    -- Attached afterwards: CREATE TABLE ... PARTITION OF would keep every writer out.
    execute format(
        'create table audit.%I (like audit.record_version including defaults including constraints)', p_name);
    execute format(
        'alter table audit.%I enable row level security, force row level security, replica identity full', p_name);
    execute format('comment on table audit.%I is %L', p_name, 'Versions of one month.');
    execute format('alter table audit.record_version attach partition audit.%I %s', p_name, p_bounds);
    execute format(
        'create trigger append_only_truncate before truncate on audit.%I
             for each statement execute function audit.refuse()', p_name);
end
$$;
comment on function audit.add_partition(text, text) is 'Part of audit.ensure_partitions.';

create function audit.ensure_partitions(p_months_ahead integer default 3) returns integer
    language plpgsql
    set search_path = '' set timezone = 'UTC'
as $$
-- Gives the number of partitions made. Versions of a month that had none are in the default partition, and are
-- moved to a month of their own: that, and only that, keeps writers waiting.
declare
    this_month constant timestamptz := date_trunc('month', clock_timestamp());
    months timestamptz[];
    overflow boolean;
    month timestamptz;
    name text;
    made integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('audit.ensure_partitions'));
    months := array(select generate_series(
        this_month, this_month + make_interval(months => p_months_ahead), interval '1 month'));
    if to_regclass('audit.record_version_default') is null then
        perform audit.add_partition('record_version_default', 'default');
    end if;
    execute 'select exists (select from audit.record_version_default)' into overflow;
    if overflow then
        alter table audit.record_version detach partition audit.record_version_default;
        alter table audit.record_version_default rename to record_version_overflow;
        execute $sql$
            select array_agg(distinct date_trunc('month', changed_at)) || $1 from audit.record_version_overflow
        $sql$ into months using months;
    end if;
    for month in select distinct m from unnest(months) as m order by m loop
        name := 'record_version_' || to_char(month, 'YYYY_MM');
        if to_regclass('audit.' || name) is null then
            perform audit.add_partition(
                name, format('for values from (%L) to (%L)', month, month + interval '1 month'));
            made := made + 1;
        end if;
    end loop;
    if overflow then
        perform audit.add_partition('record_version_default', 'default');
        insert into audit.record_version select * from audit.record_version_overflow;
        drop table audit.record_version_overflow;
    end if;
    return made;
end
$$;
comment on function audit.ensure_partitions(integer) is
    'Make the partitions of this month and of the months to come.';

create function audit.drop_partitions(p_keep interval) returns text[]
    language plpgsql
    set search_path = '' set timezone = 'UTC'
as $$
-- Gives the names of the partitions that went; each held one month that ended longer than p_keep ago.
declare
    newest_to_go constant text := 'record_version_'
        || to_char(date_trunc('month', now() - p_keep) - interval '1 month', 'YYYY_MM');
    gone text[];
    name text;
begin
    if p_keep is null or p_keep < interval '31 days' then
        raise exception 'audit: % of history is too little', p_keep
            using errcode = 'invalid_parameter_value', hint = 'keep 31 days at the least';
    end if;
    gone := array(
        select c.relname::text
          from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'audit.record_version'::regclass
           and c.relname ~ '^record_version_[0-9]{4}_[0-9]{2}$' and c.relname::text <= newest_to_go
         order by 1);
    foreach name in array gone loop
        execute format('drop table audit.%I', name);
    end loop;
    return gone;
end
$$;
comment on function audit.drop_partitions(interval) is 'Retention: drop the months that ended longer ago.';

-- Reading ---------------------------------------------------------------------------------------------

create function audit.history_begins(p_table text) returns timestamptz
    language sql stable
    set search_path = '' set timezone = 'UTC'
as $$
    -- The oldest partition begins before the table was watched, unless older ones were dropped.
    select greatest(w.watched_since, (
               select min(to_timestamp(substring(c.relname from '[0-9]{4}_[0-9]{2}$'), 'YYYY_MM'))
                 from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
                where i.inhparent = 'audit.record_version'::regclass
                  and c.relname ~ '^record_version_[0-9]{4}_[0-9]{2}$'))
      from audit.watched w
     where w.table_name = p_table
$$;
comment on function audit.history_begins(text) is
    'From when on a table''s history is complete; NULL: it is not watched.';

create function audit.committed_at(p_xmin xid, p_transaction_id xid8, p_changed_at timestamptz) returns timestamptz
    language sql stable
    set search_path = ''
as $$
    -- A version that was moved or erased, or came by a dump, has another xmin than the transaction that wrote it.
    select case when current_setting('track_commit_timestamp') = 'on' and p_xmin = p_transaction_id::xid
                then coalesce(pg_xact_commit_timestamp(p_xmin), p_changed_at)
                else p_changed_at end
$$;
comment on function audit.committed_at(xid, xid8, timestamptz) is
    'When a version became visible to others: its commit, where the server knows it.';

create function audit.rows_as_of(p_table regclass, p_couple uuid, p_at timestamptz) returns setof jsonb
    language plpgsql stable
    set search_path = '' set timezone = 'UTC'
as $$
-- Of each key the first version after p_at says what was there before it: nothing before an insert, the old row
-- before an update or a delete. A key without a later version is as it is now. Transactions count as a whole, from
-- their commit on.
declare
    label text;
    couple_column text;
    key text;
    begins timestamptz;
    load_number bigint;
begin
    select n.nspname || '.' || c.relname into label
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = p_table;
    begins := audit.history_begins(label);
    if begins is null then
        raise exception 'the history of % is not recorded', p_table using errcode = 'undefined_table';
    end if;
    if p_at < begins then
        raise exception 'the history of % begins at %', label, begins
            using errcode = 'datetime_field_overflow', hint = 'ask for a later moment';
    end if;
    select case when p_table = to_regclass('public.couples') then 'id' else a.attname end into couple_column
      from pg_catalog.pg_attribute a
     where a.attrelid = p_table and not a.attisdropped
       and a.attname = case when p_table = to_regclass('public.couples') then 'id' else 'couple_id' end;
    if couple_column is null then
        raise exception '% holds nothing of a couple: it has no couple_id', label
                using errcode = 'undefined_column';
    end if;
    select string_agg(format('t.%I', a.attname), ', ' order by k.n) into key
      from pg_catalog.pg_index i
     cross join unnest(i.indkey::smallint[]) with ordinality as k (attnum, n)
      join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
     where i.indrelid = p_table and i.indisprimary;
    select min(l.id) into load_number
      from audit.loads l
     where l.table_name = label and audit.committed_at(l.xmin, l.transaction_id, l.loaded_at) > p_at;
    return query execute format($sql$
        with later as (
            select distinct on (v.row_key) v.row_key, v.operation, v.old_row
              from audit.record_version v
             where v.couple_id = $1 and v.table_name = $2
               and ($4 is null or v.id < $4)
               and (v.changed_at > $3 or audit.committed_at(v.xmin, v.transaction_id, v.changed_at) > $3)
             order by v.row_key, v.id
        )
        select l.old_row from later l where l.operation <> 'insert' and l.old_row is not null
        union all
        select to_jsonb(t) from %s t
         where $4 is null and t.%I = $1
           and not exists (select from later l where l.row_key = jsonb_build_array(%s))
        $sql$, p_table, couple_column, key)
    using p_couple, label, p_at, load_number;
end
$$;
comment on function audit.rows_as_of(regclass, uuid, timestamptz) is
    'A couple''s rows of a table as they were committed at a moment.';

create function audit.guests_as_of(p_couple uuid, p_at timestamptz) returns setof public.guests
    language sql stable
    set search_path = ''
as $$
    select g.* from audit.rows_as_of('public.guests', p_couple, p_at) as was,
           jsonb_populate_record(null::public.guests, was) as g
$$;
comment on function audit.guests_as_of(uuid, timestamptz) is 'A couple''s guest list as it was at a moment.';

-- What a couple sees of it. The data API shows functions that run as the caller; those behind them run as their
-- owner and ask who calls.
create function app.guests_as_of(p_couple_id uuid, p_at timestamptz) returns setof public.guests
    language sql stable security definer
    set search_path = ''
as $$
    select g.* from audit.guests_as_of(p_couple_id, p_at) as g
     where p_couple_id = any ((select app.my_managed_couples())::uuid[])
$$;
comment on function app.guests_as_of(uuid, timestamptz) is
    'For the partners and for the staff that look after the wedding; no row for others.';

create function app.couple_history(p_couple_id uuid, p_since timestamptz) returns table (
    changed_at timestamptz, table_name text, operation text, user_id uuid, old_row jsonb, new_row jsonb
)
    language sql stable security definer
    set search_path = ''
as $$
    -- Rows that also belong to a business (its clients, its conversations) are not the couple's to read here, nor is
    -- what the other one was told in person.
    select v.changed_at, v.table_name, v.operation, v.user_id, v.old_row, v.new_row
      from audit.record_version v
     where v.couple_id = p_couple_id and v.changed_at >= p_since
       and (v.organization_id is null or v.table_name = 'public.couples')
       and (v.table_name <> 'public.notifications'
            or coalesce(v.new_row, v.old_row) ->> 'user_id' = (select auth.uid())::text)
       and p_couple_id = any ((select app.my_own_couples('{partner}'))::uuid[])
     order by v.id desc
$$;
comment on function app.couple_history(uuid, timestamptz) is 'For the partners of the wedding; no row for others.';

create function public.get_guests_as_of(p_couple_id uuid, p_at timestamptz) returns setof public.guests
    language sql stable
    set search_path = ''
as $$
    select * from app.guests_as_of(p_couple_id, p_at)
$$;
comment on function public.get_guests_as_of(uuid, timestamptz) is 'A wedding''s guest list as it was at a moment.';

create function public.get_couple_history(
    p_couple_id uuid, p_since timestamptz default now() - interval '30 days'
) returns table (
    changed_at timestamptz, table_name text, operation text, user_id uuid, old_row jsonb, new_row jsonb
)
    language sql stable
    set search_path = ''
as $$
    select * from app.couple_history(p_couple_id, p_since)
$$;
comment on function public.get_couple_history(uuid, timestamptz) is
    'What was changed about a wedding, by whom, newest first.';

create function app.refuse_former_couple() returns trigger
    language plpgsql security definer
    set search_path = ''
as $$
begin
    if auth.uid() is not null and exists (
        select from audit.record_version v
         where v.couple_id = new.id and v.table_name = 'public.couples' and v.statement in ('DELETE', 'TRUNCATE'))
    then
        raise exception 'a wedding with this id was here before' using errcode = '23505',
            hint = 'leave the id out: a new one is made';
    end if;
    return null;
end
$$;
comment on function app.refuse_former_couple() is
    'Trigger: the id of a wedding that is gone is not taken again by a user: its history would come with it.';
create trigger refuse_former after insert on public.couples
    for each row execute function app.refuse_former_couple();

-- Rights: nobody but the owner writes; the functions that change anything are the owner's alone.
alter table audit.record_version enable row level security, force row level security;
alter table audit.watched enable row level security, force row level security;
alter table audit.loads enable row level security, force row level security;
alter table audit.erasures enable row level security, force row level security;
grant usage on schema audit to service_role;
grant select on audit.record_version, audit.watched, audit.loads, audit.erasures to service_role;
grant execute on function
    audit.unwatched(), audit.history_begins(text), audit.committed_at(xid, xid8, timestamptz),
    audit.rows_as_of(regclass, uuid, timestamptz), audit.guests_as_of(uuid, timestamptz)
    to service_role;
grant execute on function
    app.guests_as_of(uuid, timestamptz), app.couple_history(uuid, timestamptz),
    public.get_guests_as_of(uuid, timestamptz), public.get_couple_history(uuid, timestamptz)
    to authenticated, service_role;

-- All tables there are --------------------------------------------------------------------------------
select audit.ensure_partitions(3);
select audit.watch(name) from audit.unwatched() as name order by name::text;
