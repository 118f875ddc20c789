-- name: prepare_session
-- For the whole run: a runner that is killed lets go of its locks within a second, and no role default cuts it off.
-- A lock that autovacuum holds is given up to a waiter only after deadlock_timeout, so that must be the shorter one.
select set_config('client_connection_check_interval', '300ms', false),
       set_config('statement_timeout', '0', false),
       set_config('idle_in_transaction_session_timeout', '0', false),
       set_config('lock_timeout', %(lock_timeout_ms)s || 'ms', false),
       case when has_parameter_privilege('deadlock_timeout', 'set')
            then set_config('deadlock_timeout', greatest(1, %(lock_timeout_ms)s / 2) || 'ms', false) end;

-- name: who_am_i
select session_user::text, pg_backend_pid();

-- name: ledger_shape
-- Columns of the ledger: none (there is no ledger), those of the first version, or all of them.
select coalesce(array_agg(attname::text), '{}')
  from pg_attribute
 where attrelid = to_regclass('ops.migrations') and attnum > 0 and not attisdropped;

-- name: create_ledger
create schema if not exists ops;
create table ops.migrations (
    seq bigint primary key,
    kind text not null,
    id integer,
    name text not null,
    checksum text not null,
    raw_checksum text not null,
    applied_at timestamptz not null,
    took_ms integer not null,
    by text not null,
    text text not null,
    reason text,
    detail text not null,
    mac text
);
comment on table ops.migrations is 'What was done to the schema, one row each, appended and never rewritten: the text that ran, its SHA-256 (normalised and raw), when, by whom.';
comment on column ops.migrations.id is 'Number of the migration; NULL for what is about no file.';
comment on column ops.migrations.mac is 'HMAC-SHA256 over this row and the code of the row before it.';

-- name: create_ledger_companions
create table ops.migration_head (
    only_one boolean primary key default true check (only_one),
    seq bigint not null,
    last_mac text not null,
    key_id text,
    mac text
);
create table ops.migration_steps (
    id integer not null,
    direction text not null check (direction in ('up', 'down')),
    step integer not null,
    checksum text not null,
    statement text not null,
    state text not null check (state in ('started', 'done', 'failed')),
    before text not null,
    started_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    by text not null,
    error text,
    primary key (id, direction, step)
);
comment on table ops.migration_head is 'One row: where the chain of ops.migrations ends, so that rows cut off at its end are missed.';
comment on table ops.migration_steps is 'Steps of migrations that run outside a transaction, while their file is not done.';

-- name: upgrade_ledger
-- A ledger of the first version, in place: its rows were all files that ran, in order of number.
alter table ops.migrations
    add column seq bigint, add column kind text, add column reason text, add column detail text, add column mac text;
update ops.migrations m set seq = o.seq, kind = 'applied', detail = '{}'
  from (select id, row_number() over (order by id) as seq from ops.migrations) o
 where o.id = m.id;
alter table ops.migrations
    drop constraint migrations_pkey,
    alter column id drop not null,
    alter column seq set not null,
    alter column kind set not null,
    alter column detail set not null,
    alter column applied_at drop default,
    add primary key (seq);

-- name: read_ledger
select seq, kind, id as number, name, checksum, raw_checksum,
       encode(sha256(convert_to(text, 'UTF8')), 'hex') as text_sha256,
       applied_at, took_ms, by, reason, detail, mac
  from ops.migrations
 order by seq;

-- name: read_first_ledger
-- A ledger of the first version, as the present one would show it.
select row_number() over (order by id) as seq, 'applied' as kind, id as number, name, checksum, raw_checksum,
       encode(sha256(convert_to(text, 'UTF8')), 'hex') as text_sha256,
       applied_at, took_ms, by, null::text as reason, '{}' as detail, null::text as mac
  from ops.migrations
 order by id;

-- name: read_head
select seq, last_mac, key_id, mac from ops.migration_head;

-- name: append
insert into ops.migrations
    (seq, kind, id, name, checksum, raw_checksum, applied_at, took_ms, by, text, reason, detail, mac)
values (%(seq)s, %(kind)s, %(number)s, %(name)s, %(checksum)s, %(raw_checksum)s, %(applied_at)s, %(took_ms)s,
        %(by)s, %(text)s, %(reason)s, %(detail)s, %(mac)s);

-- name: move_head
insert into ops.migration_head (seq, last_mac, key_id, mac)
values (%(seq)s, %(last_mac)s, %(key_id)s, %(head_mac)s)
on conflict (only_one) do update
   set seq = excluded.seq, last_mac = excluded.last_mac, key_id = excluded.key_id, mac = excluded.mac;
-- Gateways read the catalogue again when this commits (they know it as PostgREST does).
notify pgrst, 'reload schema';

-- name: set_mac
update ops.migrations set mac = %(mac)s where seq = %(seq)s;

-- name: stored_text
-- The newest text that was accepted for a migration.
select text from ops.migrations
 where id = %(number)s and kind in ('applied', 'repaired', 'baseline')
 order by seq desc
 limit 1;

-- name: first_stored_text
select text from ops.migrations where id = %(number)s;

-- name: try_lock
-- Polled, never waited for: a wait inside a statement holds a snapshot, and CREATE INDEX CONCURRENTLY waits for that.
select pg_try_advisory_lock(%(key)s);

-- name: unlock
select pg_advisory_unlock(%(key)s);

-- name: lock_holder
select a.pid, a.usename as user_name, coalesce(a.application_name, '') as program, a.backend_start as since
  from pg_locks l
  join pg_stat_activity a using (pid)
 where l.locktype = 'advisory' and l.granted and l.objsubid = 1
   and l.database = (select oid from pg_database where datname = current_database())
   and (l.classid::bigint << 32) | l.objid::bigint = %(key)s;

-- name: blockers
-- Who holds or waits before us for the lock that session `pid` waits for (PostgreSQL manual, 9.26: pg_blocking_pids).
select a.pid, coalesce(a.usename, '') as user_name, coalesce(a.application_name, '') as program,
       coalesce(a.state, a.backend_type) as state, coalesce(a.query, '') as query,
       coalesce(extract(epoch from clock_timestamp() - coalesce(a.xact_start, a.backend_start)), 0)::float8 as age_s,
       a.backend_type = 'autovacuum worker' as is_autovacuum
  from unnest(pg_blocking_pids(%(pid)s)) b(pid)
  join pg_stat_activity a on a.pid = b.pid
 order by a.xact_start nulls last;

-- name: begin
begin;

-- name: end_of_file
-- After a file's statements, in its transaction: what it set for itself ends with it; the moment, for the ledger.
reset role;
reset session authorization;
reset all;
deallocate all;
close all;
unlisten *;
discard temp;
select extract(epoch from clock_timestamp());

-- name: commit
commit;

-- name: commit_later
-- Not the last file of a run: the flush to disk waits for the last one, and a crash loses file and ledger row together.
set local synchronous_commit to off;
commit;

-- name: flush
-- A commit that waits for the disk (and a synchronous standby): all commits before it are then there, too.
select pg_logical_emit_message(true, 'wedsync', 'migrate');

-- name: create_restore_point
-- The LSN is taken where the record ends; names have at most 63 bytes (PostgreSQL manual, 9.27.3).
select p.name, pg_create_restore_point(p.name)::text as lsn, p.at
  from (select 'migrate-' || left(%(before)s, 36) || '-' || to_char(now() at time zone 'UTC', 'YYYYMMDD"T"HH24MISS"Z"') as name,
               clock_timestamp() as at) p;

-- name: read_steps
select step, checksum, statement, state, before, by, error
  from ops.migration_steps
 where id = %(id)s and direction = %(direction)s
 order by step;

-- name: start_step
insert into ops.migration_steps (id, direction, step, checksum, statement, state, before, by)
values (%(id)s, %(direction)s, %(step)s, %(checksum)s, %(statement)s, 'started', %(before)s, %(by)s)
on conflict (id, direction, step) do update
   set checksum = excluded.checksum, statement = excluded.statement, state = excluded.state,
       before = excluded.before, started_at = clock_timestamp(), ended_at = null, by = excluded.by, error = null;

-- name: end_step
update ops.migration_steps set state = %(state)s, ended_at = clock_timestamp(), error = %(error)s
 where id = %(id)s and direction = %(direction)s and step = %(step)s;

-- name: decide_step
update ops.migration_steps set state = %(state)s, ended_at = clock_timestamp()
 where id = %(id)s and direction = %(direction)s and step = %(step)s and state = 'started';

-- name: forget_steps
delete from ops.migration_steps where id = %(id)s;

-- name: index_of_table
-- An index is in its table's schema.
select i.indisvalid
  from pg_index i join pg_class c on c.oid = i.indexrelid
 where i.indrelid = to_regclass(%(table)s) and c.relname = %(name)s;

-- name: index_by_name
select i.indisvalid from pg_index i where i.indexrelid = to_regclass(%(name)s);

-- name: partition
-- A partition whose detaching was begun and interrupted is "not valid": it has to be finalized.
select not i.inhdetachpending
  from pg_inherits i
 where i.inhrelid = to_regclass(%(name)s) and i.inhparent = to_regclass(%(table)s);

-- name: database
select true from pg_database where datname = %(name)s;

-- name: broken_index
-- The index of this name, if an interrupted CREATE INDEX CONCURRENTLY left it, and who is building it now.
select i.indexrelid::regclass::text as name, p.pid as builder
  from pg_index i
  join pg_class c on c.oid = i.indexrelid
  left join pg_stat_progress_create_index p on p.index_relid = i.indexrelid and p.datid = (
       select oid from pg_database where datname = current_database())
 where i.indrelid = to_regclass(%(table)s) and c.relname = %(name)s and not i.indisvalid and c.relkind = 'i';

-- name: broken_copies
-- What an interrupted REINDEX CONCURRENTLY left (PostgreSQL manual, REINDEX: suffixes _ccnew and _ccold).
select i.indexrelid::regclass::text as name, p.pid as builder
  from pg_index i
  join pg_class c on c.oid = i.indexrelid
  left join pg_stat_progress_create_index p on p.index_relid = i.indexrelid and p.datid = (
       select oid from pg_database where datname = current_database())
 where not i.indisvalid and c.relkind = 'i' and c.relname ~ '_cc(new|old)[0-9]*$'
   and (%(table)s = '' or i.indrelid = to_regclass(%(table)s))
   and (%(name)s = '' or i.indrelid = (select indrelid from pg_index where indexrelid = to_regclass(%(name)s)));

-- name: index_progress
select phase, case when tuples_total > 0 then tuples_done else blocks_done end as done,
       case when tuples_total > 0 then tuples_total else blocks_total end as total
  from pg_stat_progress_create_index
 where pid = %(pid)s;
