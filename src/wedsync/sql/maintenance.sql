-- name: prepare_session
-- A worker that is killed lets go of its job within a second (on a server that asks less often by itself, after that
-- time). Work may take its time: no writer waits behind the locks that VACUUM, ANALYZE and REINDEX CONCURRENTLY ask for.
select set_config('client_connection_check_interval', '1s', false),
       set_config('statement_timeout', '0', false),
       set_config('lock_timeout', %(lock_timeout)s, false);

-- name: has_jobs
-- Whether this is a primary that carries the schema.
select to_regclass('ops.jobs') is not null and not pg_is_in_recovery();

-- name: open_jobs
-- What may be taken, oldest first. A running job is among them: its worker may be dead.
select id from ops.jobs
 where kind = any(%(kinds)s)
   and ((state = 'queued' and not_before <= clock_timestamp()) or state = 'running')
 order by id
 limit 100
   for update skip locked;

-- name: try_lock_job
-- Held by the session of a worker for as long as it works: a running job whose lock is free has lost its worker.
select pg_try_advisory_lock(%(space)s, %(id)s);

-- name: unlock_job
select pg_advisory_unlock(%(space)s, %(id)s);

-- name: begin_job
update ops.jobs
   set state = 'running', attempts = attempts + 1, started_at = clock_timestamp(), error = null
 where id = %(id)s
returning id, kind, target, payload, attempts, requested_by;

-- name: end_job
with ended as (
    update ops.jobs
       set state = %(state)s, result = %(result)s, error = %(error)s,
           finished_at = case when %(state)s = 'queued' then null else clock_timestamp() end,
           not_before = clock_timestamp() + make_interval(secs => %(wait_s)s)
     where id = %(id)s
    returning id, kind, target, requested_by, state, result, error
)
insert into ops.maintenance_log (service, operation, subject, status, requested_by, job_id, actions)
select 'database', kind, target, case state when 'queued' then 'put off' else state end, requested_by, id,
       coalesce(result, '{}') || case when error is null then '{}' else jsonb_build_object('error', error) end
  from ended;

-- name: identical_job_waits
-- A job cannot go back into the queue while an identical one waits in it.
select exists (select from ops.jobs own
                 join ops.jobs other using (kind, target, payload)
                where own.id = %(id)s and other.id <> own.id and other.state = 'queued');

-- name: table_of_job
select n.nspname::text as schema_name, c.relname::text as table_name
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where c.oid = ops.maintained_table(%(target)s);

-- name: our_tables
select n.nspname::text as schema_name, c.relname::text as table_name
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname in ('public', 'app', 'auth', 'ops', 'audit') and c.relkind in ('r', 'p', 'm')
   and not c.relispartition and pg_has_role(c.relowner, 'usage')
 order by pg_table_size(c.oid);

-- name: leftover_indexes
-- What a REINDEX CONCURRENTLY that was broken off left behind, also on the table's partitions and TOAST tables.
with family as (
    select c.oid, c.reltoastrelid
      from pg_class c
     where c.oid = ops.maintained_table(%(target)s)
        or c.oid in (select relid from pg_partition_tree(ops.maintained_table(%(target)s)))
)
select n.nspname::text as schema_name, i.relname::text as index_name
  from pg_index x
  join pg_class i on i.oid = x.indexrelid
  join pg_namespace n on n.oid = i.relnamespace
 where x.indrelid in (select oid from family union select reltoastrelid from family)
   and not x.indisvalid and i.relkind = 'i' and i.relname ~ '_cc(new|old)[0-9]*$';

-- name: invalid_indexes
-- Indexes that REINDEX TABLE CONCURRENTLY passes over.
select n.nspname::text as schema_name, i.relname::text as index_name
  from pg_index x
  join pg_class i on i.oid = x.indexrelid
  join pg_namespace n on n.oid = i.relnamespace
 where x.indrelid = ops.maintained_table(%(target)s) and not x.indisvalid and i.relkind = 'i'
   and i.relname !~ '_cc(new|old)[0-9]*$';

-- name: has_routines
select to_regclass('ops.routines') is not null and not pg_is_in_recovery();

-- name: routines
select name, every from ops.routines order by name;

-- name: limit_routines
select set_config('statement_timeout', '60s', false), set_config('lock_timeout', '5s', false);
