-- name: prepare_session
-- For the whole run: a runner that is killed lets go of its locks within a second, and no role default cuts it off.
select set_config('client_connection_check_interval', '1s', false),
       set_config('statement_timeout', '0', false),
       set_config('idle_in_transaction_session_timeout', '0', false),
       set_config('lock_timeout', %(lock_timeout)s, false);

-- name: ledger_exists
select to_regclass('ops.migrations') is not null;

-- name: create_ledger
create schema if not exists ops;
create table if not exists ops.migrations (
    id integer primary key,
    name text not null,
    checksum text not null,
    raw_checksum text not null,
    applied_at timestamptz not null default clock_timestamp(),
    took_ms integer not null,
    by text not null,
    text text not null
);
comment on table ops.migrations is 'What was applied: the text that ran, its SHA-256 (normalised and raw), when, by whom.';

-- name: read_ledger
select id as number, name, checksum, applied_at, took_ms, by
  from ops.migrations
 order by id;

-- name: record
insert into ops.migrations (id, name, checksum, raw_checksum, took_ms, by, text)
values (%(number)s, %(name)s, %(checksum)s, %(raw_checksum)s, %(took_ms)s,
        coalesce(%(by)s || ' as ', '') || session_user, %(text)s)
returning id as number, name, checksum, applied_at, took_ms, by;

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

-- name: reset_session
reset role;

-- name: reset_settings
reset all;
