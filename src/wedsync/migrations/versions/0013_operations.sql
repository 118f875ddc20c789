-- depends: 0006_isolation
-- What an administrator asks of the database, and has done to it, as SQL functions.
--
-- What a function can do itself it does. VACUUM and REINDEX CONCURRENTLY cannot run inside a transaction, so
-- never inside a function: those are queued in ops.jobs, and the keeper works the queue. Nothing is answered
-- from a constant: docs/explanation/sql-functions.md says where each number comes from.
--
-- Tables are in ops, which the data API does not show; views of the same names in public are for service_role.

-- Tables ----------------------------------------------------------------------------------------------

create table ops.jobs (
    id integer generated always as identity primary key,
    kind text not null check (kind in ('analyze', 'vacuum', 'reindex', 'migration')),
    target text not null default '' check (length(target) <= 200),
    payload jsonb not null default '{}',
    requested_by text not null,
    requested_at timestamptz not null default clock_timestamp(),
    not_before timestamptz not null default clock_timestamp(),
    state text not null default 'queued' check (state in ('queued', 'running', 'done', 'failed', 'refused')),
    attempts integer not null default 0,
    started_at timestamptz,
    finished_at timestamptz,
    result jsonb,
    error text,
    constraint jobs_end_is_known check ((finished_at is not null) = (state in ('done', 'failed', 'refused')))
);
comment on table ops.jobs is 'Work for the keeper: what cannot run inside a function.';
comment on column ops.jobs.target is 'A table with its schema, the name of a migration, or empty: the whole database.';
comment on column ops.jobs.not_before is 'A job that met a lock is tried again later.';
-- One and the same job waits once. One that runs already does not count: it may have passed what changed since.
create unique index jobs_waiting on ops.jobs (kind, target, md5(payload::text)) where state = 'queued';
create index jobs_open on ops.jobs (id) where state in ('queued', 'running');

create table ops.maintenance_log (
    id bigint generated always as identity primary key,
    service text not null,
    operation text not null,
    subject text not null default '',
    status text not null,
    requested_by text not null,
    job_id integer,
    actions jsonb not null default '{}',
    "timestamp" timestamptz not null default clock_timestamp()
);
comment on table ops.maintenance_log is 'Every call of a maintenance function and the end of every job: what, who, when, how it went.';
create index maintenance_log_by_time on ops.maintenance_log ("timestamp");

create table ops.system_health_log (
    service text primary key check (length(service) between 1 and 50),
    status text not null check (status in ('healthy', 'warning', 'critical')),
    metrics jsonb not null,
    alerts jsonb not null,
    status_since timestamptz not null,
    "timestamp" timestamptz not null
);
comment on table ops.system_health_log is 'The last judgement of each service.';

create table ops.backup_verification_log (
    id bigint generated always as identity primary key,
    service text not null check (length(service) between 1 and 50),
    status boolean not null,
    details jsonb not null,
    "timestamp" timestamptz not null default clock_timestamp(),
    unique (service, "timestamp")
);
comment on table ops.backup_verification_log is
    'Service `backups`: repositories that were read whole, as the platform''s state file has it; others: checks inside the database.';

create table ops.backups (
    repo integer not null,
    label text not null,
    kind text not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    database_bytes bigint not null,
    repo_bytes bigint not null,
    damaged boolean not null,
    mirrored_at timestamptz not null default clock_timestamp(),
    primary key (repo, label)
);
comment on table ops.backups is 'A copy of the catalogue of backups; the repositories are the truth.';

create table ops.samples (
    at timestamptz primary key,
    server_started_at timestamptz not null,
    statements_since timestamptz,
    calls numeric,
    exec_ms double precision,
    blocks_hit bigint not null,
    blocks_read bigint not null,
    rows_changed numeric not null,
    database_bytes bigint not null
);
comment on table ops.samples is 'Counters of the server at a moment: a rate is the difference of two.';

create table ops.routines (
    name text primary key check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    every interval not null check (every >= interval '1 second')
);
comment on table ops.routines is 'Functions of ops, without arguments, that the keeper calls this often.';

do $$
declare
    name text;
begin
    foreach name in array array[
        'jobs', 'maintenance_log', 'system_health_log', 'backup_verification_log', 'backups', 'samples', 'routines']
    loop
        execute format($sql$
            alter table ops.%1$I enable row level security;
            alter table ops.%1$I force row level security;
            create policy read on ops.%1$I for select to service_role, wedsync_monitor using (true);
            revoke all on ops.%1$I from anon, authenticated, service_role;
            grant select on ops.%1$I to service_role, wedsync_monitor;
        $sql$, name);
    end loop;
end
$$;

create view public.system_health_log with (security_invoker = true) as
    select service, status, metrics, alerts, status_since, "timestamp" from ops.system_health_log;
create view public.backup_verification_log with (security_invoker = true) as
    select id, service, status, details, "timestamp" from ops.backup_verification_log;
create view public.maintenance_log with (security_invoker = true) as
    select id, service, operation, subject, status, requested_by, job_id, actions, "timestamp"
      from ops.maintenance_log;
revoke all on public.system_health_log, public.backup_verification_log, public.maintenance_log
    from anon, authenticated, service_role;
grant select on public.system_health_log, public.backup_verification_log, public.maintenance_log to service_role;
comment on view public.system_health_log is 'The last judgement of each service.';
comment on view public.backup_verification_log is 'Checks of the backups and of the data, newest last.';
comment on view public.maintenance_log is 'Every call of a maintenance function and the end of every job.';

-- What the functions share ----------------------------------------------------------------------------

create function ops.caller() returns text
    language sql stable
    set search_path = ''
as $$
    -- Inside a SECURITY DEFINER function current_user is its owner; the setting `role` is still the caller's.
    select coalesce(auth.uid()::text || ' as ', '')
        || coalesce(nullif(current_setting('role'), 'none') || ' through ', '')
        || session_user
$$;
comment on function ops.caller() is 'Who calls: the user of the token, the role, the session.';

create function ops.maintained_table(name text) returns regclass
    language plpgsql stable
    set search_path = ''
as $$
declare
    parts text[];
    named regclass;
    owner oid;
begin
    parts := parse_ident(name);
    if cardinality(parts) = 1 then
        parts := array['public'] || parts;
    end if;
    select c.oid, c.relowner into named, owner
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where cardinality(parts) = 2 and n.nspname = parts[1] and c.relname = parts[2]
       and n.nspname in ('public', 'app', 'auth', 'ops', 'audit') and c.relkind in ('r', 'p', 'm');
    if not found then
        raise undefined_table using
            message = format('there is no table %s to look after', left(quote_nullable(name), 150)),
            hint = 'a table of public by its name, one of app, auth, ops or audit with its schema';
    elsif not pg_has_role(owner, 'usage') then
        raise insufficient_privilege using
            message = format('%s belongs to another role than the platform''s', named),
            hint = 'only the owner of a table may maintain it';
    end if;
    return named;
end
$$;
comment on function ops.maintained_table(text) is 'The table of ours that a caller names; an error for anything else.';

create function ops.shown_table(schema_name name, table_name name) returns text
    language sql immutable
    set search_path = ''
as $$
    select case when schema_name = 'public' then table_name::text else schema_name || '.' || table_name end
$$;
comment on function ops.shown_table(name, name) is 'A table as its users call it: without `public.`';

create function ops.shown_query(query text) returns text
    language sql immutable
    set search_path = ''
as $$
    -- PostgreSQL puts $1 where values were, but not in utility statements (CREATE ROLE … PASSWORD '…') and not
    -- always: so comments go, numbers go, and the text ends where the first quoted value begins.
    select left(trim(regexp_replace(without_numbers, '\s+', ' ', 'g')), 300)
      from regexp_replace(query, '/\*.*?\*/', ' ', 'g') without_notes,
           regexp_replace(without_notes, '--[^\n]*', ' ', 'g') without_comments,
           regexp_replace(without_comments, '(''|\$[A-Za-z_]*\$).*$', '…') without_quoted,
           regexp_replace(without_quoted, '(?<![\w$".])\d+(\.\d+)?', '?', 'g') without_numbers
$$;
comment on function ops.shown_query(text) is 'The text of a statement without values, cut to 300 characters.';

create function ops.log_maintenance(
    operation text, subject text, status text, job integer default null, actions jsonb default '{}',
    service text default 'database'
) returns void
    language sql volatile
    set search_path = ''
as $$
    insert into ops.maintenance_log (service, operation, subject, status, requested_by, job_id, actions)
    values (service, operation, subject, status, ops.caller(), job, actions)
$$;
comment on function ops.log_maintenance(text, text, text, integer, jsonb, text) is 'Writes down who did what.';

create function ops.queue_job(kind text, target text default '', payload jsonb default '{}') returns integer
    language plpgsql volatile
    set search_path = ''
as $$
#variable_conflict use_column
declare
    job integer;
    added boolean;
begin
    loop
        insert into ops.jobs (kind, target, payload, requested_by)
        values (queue_job.kind, queue_job.target, queue_job.payload, ops.caller())
        on conflict (kind, target, md5(payload::text)) where state = 'queued' do nothing
        returning id into job;
        added := found;
        exit when added;
        select id into job from ops.jobs
         where state = 'queued' and kind = queue_job.kind and target = queue_job.target
           and payload = queue_job.payload;
        exit when found;    -- else the keeper took it between the two statements: ask again
    end loop;
    perform ops.log_maintenance(
        queue_job.kind, queue_job.target, case when added then 'queued' else 'waits already' end, job);
    return job;
end
$$;
comment on function ops.queue_job(text, text, jsonb) is
    'Queues work for the keeper; gives the id of the identical job where one waits already.';

-- Counters --------------------------------------------------------------------------------------------

create function ops.statements_unknown_because() returns text
    language sql stable
    set search_path = ''
as $$
    select case
        when not exists (select from pg_extension where extname = 'pg_stat_statements')
            then 'the extension pg_stat_statements is not installed in this database'
        when current_setting('pg_stat_statements.max', true) is null
            then 'pg_stat_statements is not in shared_preload_libraries'
    end
$$;
comment on function ops.statements_unknown_because() is 'Why there are no statistics of statements; NULL: there are.';

create function ops.statement_statistics(with_text boolean)
    returns table (query text, calls bigint, total_ms double precision, mean_ms double precision,
                   max_ms double precision, rows bigint)
    language plpgsql volatile
    set search_path = ''
as $$
declare
    home text;
begin
    if ops.statements_unknown_because() is not null then
        return;
    end if;
    select quote_ident(n.nspname) into home
      from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_stat_statements';
    -- What the platform's own backups and looks cost is no query of the application.
    return query execute format(
        'select s.query, s.calls, s.total_exec_time, s.mean_exec_time, s.max_exec_time, s.rows'
        '  from %s.pg_stat_statements($1) s'
        ' where s.toplevel and s.dbid = (select oid from pg_catalog.pg_database where datname = current_database())'
        '   and s.userid not in (select oid from pg_catalog.pg_roles'
        '                         where rolname in (''wedsync_backup'', ''wedsync_monitor''))', home)
        using with_text;
end
$$;
comment on function ops.statement_statistics(boolean) is
    'Statements of this database from pg_stat_statements, wherever it is installed; none where it is not.';

create function ops.statements_since() returns timestamptz
    language plpgsql stable
    set search_path = ''
as $$
declare
    since timestamptz;
begin
    if ops.statements_unknown_because() is null then
        execute (select format('select stats_reset from %I.pg_stat_statements_info', n.nspname)
                   from pg_extension e join pg_namespace n on n.oid = e.extnamespace
                  where e.extname = 'pg_stat_statements') into since;
    end if;
    return since;
end
$$;
comment on function ops.statements_since() is 'Since when statements are counted.';

create function ops.counters() returns ops.samples
    language plpgsql volatile
    set search_path = ''
as $$
declare
    now_ ops.samples;
begin
    now_.at := clock_timestamp();
    now_.server_started_at := pg_postmaster_start_time();
    now_.statements_since := ops.statements_since();
    if now_.statements_since is not null then
        select coalesce(sum(calls), 0), coalesce(sum(total_ms), 0) into now_.calls, now_.exec_ms
          from ops.statement_statistics(false);
    end if;
    select blks_hit, blks_read into now_.blocks_hit, now_.blocks_read
      from pg_stat_database where datname = current_database();
    select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) into now_.rows_changed
      from pg_stat_user_tables where schemaname <> 'ops';
    now_.database_bytes := pg_database_size(current_database());
    return now_;
end
$$;
comment on function ops.counters() is 'The counters as they are now.';

create function ops.keep_sample(sample ops.samples) returns boolean
    language plpgsql volatile
    set search_path = ''
as $$
declare
    before timestamptz;
begin
    if pg_is_in_recovery() or current_setting('transaction_read_only')::boolean then
        return false;
    end if;
    select max(at) into before from ops.samples;
    if before > sample.at - interval '10 seconds' then
        return false;
    end if;
    insert into ops.samples select (sample).* on conflict (at) do nothing;
    -- Once an hour: each minute of two days, then the first of each hour for ninety days.
    if before is null or date_trunc('hour', before) < date_trunc('hour', sample.at) then
        delete from ops.samples s
         where s.at < sample.at - interval '90 days'
            or (s.at < sample.at - interval '2 days'
                and exists (select from ops.samples e
                             where e.at >= date_trunc('hour', s.at) and e.at < s.at));
    end if;
    return true;
end
$$;
comment on function ops.keep_sample(ops.samples) is 'Keeps counters, at the most every ten seconds, and thins out old ones.';

create function ops.take_sample() returns boolean
    language plpgsql volatile
    set search_path = ''
as $$
declare
    sample ops.samples := ops.counters();
    before numeric;
begin
    -- Each commit makes a quiet database archive a whole WAL segment: no sample where nobody changed a row.
    select rows_changed into before from ops.samples order by at desc limit 1;
    return before is distinct from sample.rows_changed and ops.keep_sample(sample);
end
$$;
comment on function ops.take_sample() is 'Routine: keeps the counters if rows were changed since the last sample.';
insert into ops.routines (name, every) values ('take_sample', interval '1 minute');

create function ops.leads_with(index_columns int2vector, columns smallint[]) returns boolean
    language sql immutable
    set search_path = ''
as $$
    select columns <@ (string_to_array(index_columns::text, ' ')::smallint[])[1:cardinality(columns)]
$$;
comment on function ops.leads_with(int2vector, smallint[]) is 'Whether these columns, in any order, come first in an index.';

-- Questions -------------------------------------------------------------------------------------------

create function public.get_connection_stats() returns jsonb
    language sql volatile security definer
    set search_path = ''
as $$
    select jsonb_build_object(
        'active_connections', count(*) filter (where state in ('active', 'fastpath function call')),
        'idle_connections', count(*) filter (where state = 'idle'),
        'idle_in_transaction', count(*) filter (where state like 'idle in transaction%'),
        'total_connections', count(*),
        'max_connections', current_setting('max_connections')::integer,
        'utilization_percent', round(100.0 * count(*) / current_setting('max_connections')::integer, 1))
      from pg_stat_activity
     where backend_type = 'client backend'
$$;
comment on function public.get_connection_stats() is
    'Connections of clients to the whole server: {active_connections, idle_connections, max_connections, total_connections}.';

create function public.get_performance_stats() returns jsonb
    language plpgsql volatile security definer
    set search_path = ''
as $$
declare
    after ops.samples := ops.counters();
    before ops.samples;
    seconds numeric;
    calls numeric;
    hit numeric;
    accessed numeric;
    slow bigint;
    issues text[] := '{}';
    unknown text := ops.statements_unknown_because();
begin
    -- The newest sample that the counters have gone on from without a break.
    select * into before from ops.samples s
     where s.at between after.at - interval '1 hour' and after.at - interval '1 second'
       and s.server_started_at = after.server_started_at
       and s.statements_since is not distinct from after.statements_since
     order by s.at desc limit 1;
    perform ops.keep_sample(after);
    seconds := extract(epoch from after.at - before.at);
    calls := after.calls - before.calls;

    if unknown is not null then
        issues := issues || ('no statistics of statements: ' || unknown);
    else
        select count(*) into slow from ops.statement_statistics(false) where mean_ms > 1000;
        if seconds is null then
            issues := issues || 'queries_per_second: one sample so far, a rate needs two; ask again in some seconds'::text;
        elsif calls < 0 then
            issues := issues || 'queries_per_second: statistics were thrown away in between'::text;
            calls := null;
        end if;
    end if;

    -- Of the time between the samples; where too little happened in it, since the counters were reset.
    hit := after.blocks_hit - before.blocks_hit;
    accessed := hit + after.blocks_read - before.blocks_read;
    if accessed is null or accessed < 1000 or hit < 0 then
        hit := after.blocks_hit;
        accessed := hit + after.blocks_read;
    end if;
    return jsonb_build_object(
        'avg_query_time', round(case when calls > 0 then (after.exec_ms - before.exec_ms) / calls::double precision
                                     else after.exec_ms / nullif(after.calls, 0)::double precision end::numeric, 3),
        'slow_queries_count', slow,
        'queries_per_second', round(calls / seconds, 3),
        'cache_hit_ratio', round(100 * hit / nullif(accessed, 0), 2),
        'interval_seconds', round(seconds, 3),
        'statements_since', after.statements_since,
        'issues', to_jsonb(issues),
        'timestamp', after.at);
end
$$;
comment on function public.get_performance_stats() is
    'Milliseconds, counts, percent: {avg_query_time, slow_queries_count, queries_per_second, cache_hit_ratio}; rates are between the last sample and now.';

create function public.get_slow_queries(min_ms double precision default 1000, max_rows integer default 50)
    returns table (query text, calls bigint, avg_time_ms numeric, max_time_ms numeric, total_time_ms numeric,
                   rows_returned bigint, parameters integer)
    language sql volatile security definer
    set search_path = ''
as $$
    select ops.shown_query(s.query), s.calls, round(s.mean_ms::numeric, 3), round(s.max_ms::numeric, 3),
           round(s.total_ms::numeric, 3), s.rows,
           (select coalesce(max(found[1]::integer), 0)
              from regexp_matches(s.query, '\$(\d{1,5})(?!\d)', 'g') found)
      from ops.statement_statistics(true) s
     where s.mean_ms > min_ms
     order by s.total_ms desc
     limit least(greatest(max_rows, 0), 1000)
$$;
comment on function public.get_slow_queries(double precision, integer) is
    'Statements that take longer than min_ms on average, dearest first; their text without any value.';

create function public.get_table_sizes()
    returns table (table_name text, size_mb numeric, row_count bigint)
    language sql stable security definer
    set search_path = ''
as $$
    -- A partitioned table is the sum of its parts. Rows are PostgreSQL's running count of live rows; after a
    -- crash, which loses it, the estimate of the last ANALYZE.
    select ops.shown_table(n.nspname, c.relname),
           round(sum(pg_total_relation_size(part.relid)) / 1048576.0, 3),
           sum(case when s.n_live_tup > 0 then s.n_live_tup else greatest(p.reltuples, 0)::bigint end)::bigint
      from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      cross join lateral (select t.relid from pg_partition_tree(c.oid) t where t.isleaf
                          union all select c.oid where c.relkind <> 'p') part
      join pg_class p on p.oid = part.relid
      left join pg_stat_all_tables s on s.relid = part.relid
     where c.relkind in ('r', 'p', 'm') and not c.relispartition
       and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
     group by n.nspname, c.relname
     order by 2 desc, 1
$$;
comment on function public.get_table_sizes() is
    'Each table with indexes and TOAST: table_name, size_mb, row_count (an estimate that costs no scan).';

create function public.get_index_usage()
    returns table (index_name text, table_name text, scans bigint, tuples_read bigint, tuples_fetched bigint,
                   size_mb numeric, stats_since timestamptz)
    language sql stable security definer
    set search_path = ''
as $$
    select i.indexrelname::text, ops.shown_table(i.schemaname, i.relname), i.idx_scan, i.idx_tup_read, i.idx_tup_fetch,
           round(pg_relation_size(i.indexrelid) / 1048576.0, 3),
           (select stats_reset from pg_stat_database where datname = current_database())
      from pg_stat_user_indexes i
     order by i.idx_scan desc, 1
$$;
comment on function public.get_index_usage() is
    'Scans of each index since stats_since (NULL: since the database was made).';

create function public.get_unused_indexes()
    returns table (index_name text, table_name text, size_mb numeric, scans bigint, serves_foreign_key boolean,
                   stats_since timestamptz)
    language sql stable security definer
    set search_path = ''
as $$
    -- What holds a constraint up works without ever being scanned: primary and unique keys, exclusions, and
    -- what foreign keys or replicas point to. The only index that finds the rows of a foreign key is marked:
    -- without it, removing what the key points to reads the whole table.
    select i.indexrelname::text, ops.shown_table(i.schemaname, i.relname),
           round(pg_relation_size(i.indexrelid) / 1048576.0, 3), i.idx_scan,
           exists (select from pg_constraint f
                    where f.contype = 'f' and f.conrelid = i.relid and ops.leads_with(x.indkey, f.conkey)
                      and not exists (select from pg_index other
                                       where other.indrelid = i.relid and other.indexrelid <> i.indexrelid
                                         and other.indisvalid and other.indpred is null
                                         and ops.leads_with(other.indkey, f.conkey))),
           (select stats_reset from pg_stat_database where datname = current_database())
      from pg_stat_user_indexes i
      join pg_index x on x.indexrelid = i.indexrelid
     where i.idx_scan = 0 and x.indisvalid
       and not (x.indisunique or x.indisprimary or x.indisexclusion or x.indisreplident)
       and not exists (select from pg_constraint c where c.conindid = i.indexrelid)
     order by pg_relation_size(i.indexrelid) desc, 1
$$;
comment on function public.get_unused_indexes() is
    'Indexes without a scan since stats_since that hold up no constraint; readers on replicas are not counted here.';

create function public.get_database_size() returns jsonb
    language sql volatile security definer
    set search_path = ''
as $$
    with size as (
        select pg_database_size(current_database()) as bytes, clock_timestamp() as at
    ), oldest as (
        select s.at, s.database_bytes from ops.samples s
         where s.at > now() - interval '7 days' order by s.at limit 1
    ), history as (
        select size.bytes, size.at,
               extract(epoch from size.at - oldest.at) / 86400.0 as days, size.bytes - oldest.database_bytes as growth
          from size left join oldest on true
    )
    select jsonb_build_object(
        'database', current_database(),
        'size_bytes', bytes,
        'size_mb', round(bytes / 1048576.0, 3),
        'growth_rate_mb_per_day', case when days >= 1 then round(growth / 1048576.0 / days, 3) end,
        'history_days', round(coalesce(days, 0), 2),
        'issues', case when coalesce(days, 0) < 1
                       then jsonb_build_array('growth_rate_mb_per_day: needs a day of samples') else '[]' end,
        'timestamp', at)
      from history
$$;
comment on function public.get_database_size() is
    '{database, size_bytes, size_mb, growth_rate_mb_per_day}: the growth is of up to seven days, NULL before there is one.';

create function public.get_last_backup_time() returns jsonb
    language sql stable security definer
    set search_path = ''
as $$
    select jsonb_build_object(
        'last_backup', max(finished_at),
        'label', (array_agg(label order by finished_at desc))[1],
        'repo', (array_agg(repo order by finished_at desc))[1],
        'known_since', max(mirrored_at))
      from ops.backups where not damaged
$$;
comment on function public.get_last_backup_time() is
    '{last_backup}: the end of the newest undamaged backup, as the keeper last told the database; NULL: none is known.';

-- Work ------------------------------------------------------------------------------------------------

create function public.analyze_table(table_name text) returns jsonb
    language plpgsql volatile security definer
    set search_path = '' set lock_timeout = '2s'
as $$
declare
    target regclass := ops.maintained_table(table_name);
    ended text := 'completed';
begin
    begin
        execute format('analyze %s', target);
    exception when lock_not_available then
        ended := 'busy';    -- another VACUUM, ANALYZE or change of the schema has it
    end;
    perform ops.log_maintenance('analyze', target::text, ended);
    return jsonb_build_object('table_analyzed', table_name, 'timestamp', clock_timestamp(), 'status', ended);
end
$$;
comment on function public.analyze_table(text) is
    'Renews the planner''s statistics now: {table_analyzed, timestamp, status completed|busy}.';

create function public.vacuum_analyze_table(table_name text) returns jsonb
    language plpgsql volatile security definer
    set search_path = ''
as $$
declare
    job integer := ops.queue_job('vacuum', ops.maintained_table(table_name)::text);
begin
    return jsonb_build_object(
        'table_vacuumed', table_name, 'timestamp', clock_timestamp(), 'status', 'queued', 'job_id', job);
end
$$;
comment on function public.vacuum_analyze_table(text) is
    'Has the keeper vacuum and analyze a table: {table_vacuumed, timestamp, status queued, job_id}; get_job tells the end.';

create function public.reindex_table(table_name text) returns jsonb
    language plpgsql volatile security definer
    set search_path = ''
as $$
declare
    job integer := ops.queue_job('reindex', ops.maintained_table(table_name)::text);
begin
    return jsonb_build_object(
        'table_reindexed', table_name, 'timestamp', clock_timestamp(), 'status', 'queued', 'job_id', job);
end
$$;
comment on function public.reindex_table(text) is
    'Has the keeper rebuild the indexes of a table beside its use: {table_reindexed, timestamp, status queued, job_id}.';

create function public.update_table_statistics(table_name text default null) returns jsonb
    language plpgsql volatile security definer
    set search_path = ''
as $$
declare
    job integer;
begin
    if table_name is not null then
        return public.analyze_table(table_name);
    end if;
    -- One transaction would hold a lock on every table until the last one is done.
    job := ops.queue_job('analyze');
    return jsonb_build_object(
        'table_analyzed', null, 'timestamp', clock_timestamp(), 'status', 'queued', 'job_id', job);
end
$$;
comment on function public.update_table_statistics(text) is
    'As analyze_table; without a name the keeper analyzes all tables: {table_analyzed, timestamp, status, job_id}.';

create function public.execute_migration(sql text, name text) returns jsonb
    language plpgsql volatile security definer
    set search_path = ''
as $$
declare
    -- As the files of migrations are hashed: no byte order mark, LF, one newline at the end.
    normalised text := rtrim(replace(ltrim(sql, U&'\FEFF'), E'\r\n', E'\n'), E'\n') || E'\n';
    checksum text := encode(sha256(convert_to(normalised, 'UTF8')), 'hex');
    job integer;
begin
    if name is null or name !~ '^[a-z][a-z0-9_]{0,62}$' then
        raise invalid_parameter_value using
            message = 'a migration''s name is a word such as add_seats: small letters, digits, underscores';
    elsif sql is null or sql !~ '\S' then
        raise invalid_parameter_value using message = 'there is no SQL to run';
    end if;
    job := ops.queue_job('migration', name, jsonb_build_object('sql', normalised, 'checksum', checksum));
    return jsonb_build_object('id', job, 'name', name, 'status', 'queued', 'checksum', checksum);
end
$$;
comment on function public.execute_migration(text, text) is
    'Has the keeper check and run a change of the schema, as `wedsync migrate up` would: {id, name, status queued, checksum}; get_job tells the end.';

create function public.get_job(job_id integer) returns jsonb
    language plpgsql stable security definer
    set search_path = ''
as $$
declare
    answer jsonb;
begin
    select jsonb_build_object(
        'id', j.id, 'kind', j.kind, 'target', j.target, 'status', j.state, 'attempts', j.attempts,
        'requested_by', j.requested_by, 'requested_at', j.requested_at, 'started_at', j.started_at,
        'finished_at', j.finished_at, 'not_before', j.not_before, 'result', j.result, 'error', j.error)
      into answer from ops.jobs j where j.id = job_id;
    if not found then
        raise no_data_found using message = format('there is no job %s', job_id);
    end if;
    return answer;
end
$$;
comment on function public.get_job(integer) is 'How a queued job stands: {id, kind, target, status, result, error, …}.';

-- For administrators only. Said in full: where default privileges of an adopted database grant functions of
-- public to everybody, the default of 0001 does not help.
revoke execute on function
    public.get_connection_stats(), public.get_performance_stats(),
    public.get_slow_queries(double precision, integer), public.get_table_sizes(), public.get_index_usage(),
    public.get_unused_indexes(), public.get_database_size(), public.get_last_backup_time(),
    public.analyze_table(text), public.vacuum_analyze_table(text), public.reindex_table(text),
    public.update_table_statistics(text), public.execute_migration(text, text), public.get_job(integer)
    from public, anon, authenticated;
grant execute on function
    public.get_connection_stats(), public.get_performance_stats(),
    public.get_slow_queries(double precision, integer), public.get_table_sizes(), public.get_index_usage(),
    public.get_unused_indexes(), public.get_database_size(), public.get_last_backup_time(),
    public.analyze_table(text), public.vacuum_analyze_table(text), public.reindex_table(text),
    public.update_table_statistics(text), public.execute_migration(text, text), public.get_job(integer)
    to service_role;
