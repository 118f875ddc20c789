-- name: settle_session
-- What a session that measures may cost others, and what rows look like as text whoever asks.
select set_config('row_security', 'off', false), set_config('search_path', '', false),
       set_config('datestyle', 'ISO, DMY', false), set_config('intervalstyle', 'postgres', false),
       set_config('timezone', 'UTC', false), set_config('extra_float_digits', '3', false),
       set_config('bytea_output', 'hex', false), set_config('xmloption', 'content', false),
       set_config('max_parallel_workers_per_gather', '0', false), set_config('jit', 'off', false),
       set_config('lock_timeout', %(lock_timeout)s, false),
       set_config('idle_in_transaction_session_timeout', %(idle_timeout)s, false),
       set_config('client_connection_check_interval', '1s', false);

-- name: bound_statement
select set_config('statement_timeout', %(timeout)s, true);

-- name: session
select pg_backend_pid() as pid, clock_timestamp() as at, current_database()::text as database;

-- name: tables
-- Tables with rows of their own that the WAL brings back: no views, no parents of partitions, nothing unlogged.
-- `shape` changes with everything that lets a later scan show other rows than the snapshot has (TRUNCATE and
-- rewrites give a new file, and a scan finds what is in the newest one) or other columns.
select c.oid::regclass::text as name,
       pg_relation_size(c.oid)::bigint / current_setting('block_size')::bigint as blocks,
       pg_table_size(c.oid)::bigint as size_bytes,
       format('%s:%s:%s', c.oid, c.relfilenode,
              (select string_agg(format('%s %s %s %s', a.attnum, a.attname, a.atttypid, a.attmissingval), ',' order by a.attnum)
                 from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)) as shape
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'm') and c.relpersistence = 'p'
   and c.relispopulated
   and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
 order by name;

-- name: open_transactions
-- Who writes, and so has to end before a place can be found: the oldest first.
select pid, usename::text as who, application_name as program, xact_start as since
  from pg_stat_activity
 where backend_xid is not null and pid <> pg_backend_pid()
 order by xact_start
 limit 3;
