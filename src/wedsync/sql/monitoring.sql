-- name: server_facts
-- One row about the server as a whole. Readable by members of pg_monitor.
select split_part(current_setting('server_version'), ' ', 1) as version, -- behind it: who packaged it
       pg_catalog.pg_postmaster_start_time() as started_at,
       pg_catalog.pg_is_in_recovery() as in_recovery,
       pg_catalog.pg_database_size(pg_catalog.current_database()) as size_bytes,
       (select count(*) from pg_catalog.pg_stat_activity where backend_type = 'client backend') as connections_used,
       current_setting('max_connections')::int as connections_max;

-- name: archiver_facts
-- How WAL gets to the archive. Source: pg_stat_archiver and the archiver's status files.
select current_setting('archive_mode') in ('on', 'always')
           and current_setting('archive_command') not in ('', '(disabled)') as enabled,
       (select setting::int from pg_catalog.pg_settings where name = 'archive_timeout') as timeout_s,
       last_archived_time as last_archived_at,
       last_archived_wal as last_archived_segment,
       last_failed_time as last_failed_at,
       last_failed_wal as last_failed_segment,
       failed_count::int as failures,
       (select count(*) from pg_catalog.pg_ls_archive_statusdir() where name ~ '\.ready$')::int as waiting_segments
  from pg_catalog.pg_stat_archiver;

-- name: has_jobs
-- Whether there is a queue that we may read; before the migrations, the schema may be closed to us.
select exists (
    select from pg_catalog.pg_class c
     where c.relnamespace = (select oid from pg_catalog.pg_namespace where nspname = 'ops')
       and c.relname = 'jobs'
       and pg_catalog.has_schema_privilege(c.relnamespace, 'usage')
       and pg_catalog.has_table_privilege(c.oid, 'select'));

-- name: job_facts
-- The queue of maintenance work, and the newest failure of the last day.
select count(*) filter (where state = 'queued')::int as waiting,
       count(*) filter (where state = 'running')::int as running,
       min(not_before) filter (where state = 'queued' and not_before <= clock_timestamp()) as due_since,
       count(*) filter (where state = 'failed' and finished_at > now() - interval '1 day')::int as failed,
       max(id) filter (where state = 'failed' and finished_at > now() - interval '1 day') as last_failed
  from ops.jobs
 where state in ('queued', 'running') or finished_at > now() - interval '1 day';
