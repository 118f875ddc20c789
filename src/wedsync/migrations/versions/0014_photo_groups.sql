-- depends: 0009_wedding, 0013_operations
-- Photo groups in production: counted as they change, watched, verified, maintained; their conflicts.

-- Counting --------------------------------------------------------------------------------------------
-- Each statement that changes photo groups adds one row with what it changed. Nobody updates a common row, so
-- nobody waits for anybody; a transaction that is undone takes its row along; who reads adds up what is committed.
-- The keeper folds the rows into totals.

create table ops.photo_group_changes (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    groups integer not null,
    scheduled integer not null,
    touched integer not null
);
comment on table ops.photo_group_changes is 'What each statement changed of the number of photo groups, until it is folded into the totals.';

create table ops.photo_group_totals (
    id smallint primary key default 1 check (id = 1),
    groups bigint not null,
    scheduled bigint not null
);
comment on table ops.photo_group_totals is 'One row: how many photo groups there are, without the changes that are not folded in yet.';

create table ops.photo_group_activity (
    minute timestamptz primary key,
    touched bigint not null
);
comment on table ops.photo_group_activity is 'Photo groups added, changed or removed in each minute of the last day.';

do $$
declare
    name text;
begin
    foreach name in array array['photo_group_changes', 'photo_group_totals', 'photo_group_activity'] loop
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

create function ops.photo_group_numbers(out groups bigint, out scheduled bigint)
    language sql stable
    set search_path = ''
as $$
    -- One statement, one snapshot: a fold between the two reads does not show.
    select t.groups + coalesce(c.groups, 0), t.scheduled + coalesce(c.scheduled, 0)
      from ops.photo_group_totals t,
           (select sum(groups)::bigint as groups, sum(scheduled)::bigint as scheduled from ops.photo_group_changes) c
$$;
comment on function ops.photo_group_numbers() is 'How many photo groups there are, and how many have a time; no scan of them.';

create function ops.count_photo_groups() returns trigger
    language plpgsql security definer
    set search_path = ''
as $$
begin
    case tg_op
    when 'INSERT' then
        insert into ops.photo_group_changes (groups, scheduled, touched)
        select count(*), count(scheduled_start), count(*) from added having count(*) > 0;
    when 'DELETE' then
        insert into ops.photo_group_changes (groups, scheduled, touched)
        select -count(*), -count(scheduled_start), count(*) from removed having count(*) > 0;
    when 'UPDATE' then
        insert into ops.photo_group_changes (groups, scheduled, touched)
        select 0, count(scheduled_start) - (select count(scheduled_start) from removed), count(*)
          from added having count(*) > 0;
    when 'TRUNCATE' then
        insert into ops.photo_group_changes (groups, scheduled, touched)
        select -groups, -scheduled, groups from ops.photo_group_numbers();
    end case;
    return null;
end
$$;
comment on function ops.count_photo_groups() is 'Trigger: writes down what a statement changed of the number of photo groups.';

create trigger count_added after insert on public.photo_groups
    referencing new table as added for each statement execute function ops.count_photo_groups();
create trigger count_changed after update on public.photo_groups
    referencing old table as removed new table as added for each statement execute function ops.count_photo_groups();
create trigger count_removed after delete on public.photo_groups
    referencing old table as removed for each statement execute function ops.count_photo_groups();
create trigger count_truncated after truncate on public.photo_groups
    for each statement execute function ops.count_photo_groups();

-- The triggers' locks keep writers out until the end of this transaction: from here on nothing goes uncounted.
insert into ops.photo_group_totals (groups, scheduled) select count(*), count(scheduled_start) from public.photo_groups;

create function ops.fold_photo_group_changes() returns bigint
    language plpgsql volatile
    set search_path = ''
as $$
declare
    last bigint;
    folded bigint;
begin
    select max(id) into last from ops.photo_group_changes;
    if last is null then
        return 0;   -- and nothing was written
    end if;
    with taken as (
        delete from ops.photo_group_changes where id <= last returning at, groups, scheduled, touched
    ), total as (
        update ops.photo_group_totals t
           set groups = t.groups + sums.groups, scheduled = t.scheduled + sums.scheduled
          from (select coalesce(sum(groups), 0) as groups, coalesce(sum(scheduled), 0) as scheduled from taken) sums
         where t.id = 1
    ), activity as (
        insert into ops.photo_group_activity as known (minute, touched)
        select date_trunc('minute', at), sum(touched) from taken group by 1
        on conflict (minute) do update set touched = known.touched + excluded.touched
    )
    select count(*) into folded from taken;
    delete from ops.photo_group_activity where minute < now() - interval '25 hours';
    return folded;
end
$$;
comment on function ops.fold_photo_group_changes() is 'Adds the changes up into the totals; gives how many.';

create function ops.photo_group_drift(out groups bigint, out scheduled bigint)
    language sql stable
    set search_path = ''
as $$
    -- Rows and counters in one snapshot: whatever runs beside is in both or in neither.
    select really.groups - counted.groups, really.scheduled - counted.scheduled
      from ops.photo_group_numbers() counted,
           (select count(*) as groups, count(scheduled_start) as scheduled from public.photo_groups) really
$$;
comment on function ops.photo_group_drift() is 'By how much the counters are wrong; counts all photo groups.';

-- Health ----------------------------------------------------------------------------------------------

create function ops.judge_photo_groups(active integer, most integer, storage_mb numeric) returns jsonb
    language sql immutable
    set search_path = ''
as $$
    select jsonb_build_object(
        'status', case when active >= 0.95 * most then 'critical'
                       when active > 80 or storage_mb > 1000 then 'warning'
                       else 'healthy' end,
        'alerts', to_jsonb(array_remove(array[
            case when active > 80 then format('%s connections are active; more than 80 are too many', active) end,
            case when active >= 0.95 * most then format('%s of %s connections are in use', active, most) end,
            case when storage_mb > 1000
                 then format('photo groups take %s MB; more than 1000 were not expected', round(storage_mb)) end
        ], null)))
$$;
comment on function ops.judge_photo_groups(integer, integer, numeric) is 'What the numbers of a health check mean.';

create function public.photo_groups_health_check() returns jsonb
    language plpgsql volatile security definer
    set search_path = ''
as $$
declare
    counted record;
    active integer;
    storage_mb numeric;
    recent bigint;
    judged jsonb;
    metrics jsonb;
    checked_at timestamptz := clock_timestamp();
begin
    select * into counted from ops.photo_group_numbers();
    select count(*) into active from pg_stat_activity where backend_type = 'client backend' and state = 'active';
    storage_mb := round((pg_total_relation_size('public.photo_groups')
                         + pg_total_relation_size('public.photo_group_members')) / 1048576.0, 3);
    select coalesce(sum(touched), 0) into recent
      from (select touched from ops.photo_group_activity where minute >= checked_at - interval '24 hours'
            union all
            select touched from ops.photo_group_changes where at >= checked_at - interval '24 hours') t;
    judged := ops.judge_photo_groups(active, current_setting('max_connections')::integer, storage_mb);
    metrics := jsonb_build_object(
        'total_groups', counted.groups, 'scheduled_groups', counted.scheduled, 'recent_activity_24h', recent,
        'active_connections', active, 'storage_usage_mb', storage_mb);
    if not current_setting('transaction_read_only')::boolean then
        insert into ops.system_health_log as known (service, status, metrics, alerts, status_since, "timestamp")
        values ('photo_groups_db', judged ->> 'status', metrics, judged -> 'alerts', checked_at, checked_at)
        on conflict (service) do update set
            status_since = case when known.status = excluded.status then known.status_since else excluded."timestamp" end,
            status = excluded.status, metrics = excluded.metrics, alerts = excluded.alerts,
            "timestamp" = excluded."timestamp";
    end if;
    return jsonb_build_object(
        'status', judged -> 'status', 'timestamp', checked_at, 'metrics', metrics, 'alerts', judged -> 'alerts');
end
$$;
comment on function public.photo_groups_health_check() is
    '{status, timestamp, metrics {total_groups, scheduled_groups, recent_activity_24h, active_connections, storage_usage_mb}, alerts []}; kept in system_health_log.';

create function ops.watch_photo_groups() returns bigint
    language plpgsql volatile
    set search_path = ''
as $$
declare
    folded bigint := ops.fold_photo_group_changes();
begin
    if folded > 0 or not exists (select from ops.system_health_log where service = 'photo_groups_db') then
        perform public.photo_groups_health_check();
    end if;
    return folded;
end
$$;
comment on function ops.watch_photo_groups() is 'Routine: after changes, folds them in and checks health.';
insert into ops.routines (name, every) values ('watch_photo_groups', interval '15 seconds');

-- Performance -----------------------------------------------------------------------------------------

create function ops.photo_group_query_type(query text) returns text
    language sql immutable
    set search_path = ''
as $$
    select case
        when query ~* 'detect_advanced_conflicts' then 'conflict_detection'
        when query ~* 'optimize_photo_group_scheduling' then 'scheduling_optimization'
        when query ~* '\minsert\s+into\s+("?public"?\.)?"?photo_groups?\M' then 'insert_group'
        when query ~* '^\s*(select|with)\M.*\mfrom\s+("?public"?\.)?"?photo_groups?\M'
             and query !~* '\m(insert\s+into|update|delete\s+from)\s+("?public"?\.)?"?photo_group' then 'select_group'
        else 'other'
    end
$$;
comment on function ops.photo_group_query_type(text) is 'What a statement does with photo groups.';

create function public.get_photo_groups_performance_stats() returns jsonb
    language sql volatile security definer
    set search_path = ''
as $$
    with kinds (kind) as (
        values ('conflict_detection'), ('scheduling_optimization'), ('insert_group'), ('select_group'), ('other')
    ), statements as (
        select ops.photo_group_query_type(query) as kind, sum(calls) as calls, sum(total_ms) as total_ms
          from ops.statement_statistics(true)
         where query ~* 'photo_group|detect_advanced_conflicts' and query !~* '^\s*(create|alter|drop|comment|grant|revoke|do)\M'
         group by 1
    ), queries as (
        select jsonb_agg(jsonb_build_object(
                   'query_type', k.kind,
                   'avg_time_ms', round((s.total_ms / nullif(s.calls, 0)::double precision)::numeric, 3),
                   'total_calls', coalesce(s.calls, 0),
                   'total_time_ms', round(coalesce(s.total_ms, 0)::numeric, 3)) order by k.kind) as answer
          from kinds k left join statements s using (kind)
    ), indexes as (
        select jsonb_agg(jsonb_build_object(
                   'index_name', indexrelname, 'table_name', relname, 'scans', idx_scan,
                   'tuples_read', idx_tup_read, 'tuples_fetched', idx_tup_fetch) order by relname, indexrelname) as answer
          from pg_stat_user_indexes
         where schemaname = 'public'
           and relname in ('photo_groups', 'photo_group_members', 'photo_group_dependencies', 'photographer_assignments')
    )
    select jsonb_build_object(
        'query_performance', queries.answer,
        'index_usage', coalesce(indexes.answer, '[]'),
        'last_updated', clock_timestamp(),
        'issues', case when ops.statements_unknown_because() is null then '[]'
                       else jsonb_build_array('no statistics of statements: ' || ops.statements_unknown_because()) end)
      from queries, indexes
$$;
comment on function public.get_photo_groups_performance_stats() is
    '{query_performance [{query_type, avg_time_ms, total_calls, total_time_ms}], index_usage [{index_name, table_name, scans, tuples_read, tuples_fetched}], last_updated}.';

create view public.photo_groups_performance_summary with (security_invoker = true) as
    select hour.hour,
           count(g.id) as groups_created,
           round(avg(g.estimated_duration), 2) as avg_duration,
           count(g.scheduled_start) as scheduled_count,
           count(distinct g.couple_id) as unique_couples
      from generate_series(date_trunc('hour', now() - interval '24 hours'), date_trunc('hour', now()),
                           interval '1 hour') as hour (hour)
      left join public.photo_groups g
        on g.created_at > now() - interval '24 hours'
       and g.created_at >= hour.hour and g.created_at < hour.hour + interval '1 hour'
     group by hour.hour
     order by hour.hour desc;
revoke all on public.photo_groups_performance_summary from anon, authenticated, service_role;
grant select on public.photo_groups_performance_summary to authenticated, service_role;
comment on view public.photo_groups_performance_summary is
    'Each hour of the last day: photo groups made, their average duration in minutes, how many have a time, of how many couples.';

-- Integrity -------------------------------------------------------------------------------------------
-- A row cannot point to nothing past a foreign key that PostgreSQL enforces, so nobody searches for such rows while
-- it does. What breaks is the enforcement: a constraint that was added NOT VALID, triggers that were switched off
-- for a load and never on again, row-level security disabled "for a moment", an index that failed to build, a disk.

create function ops.photo_group_tables() returns regclass[]
    language sql stable
    set search_path = ''
as $$
    select array['public.photo_groups', 'public.photo_group_members', 'public.photo_group_dependencies',
                 'public.photographer_assignments', 'public.photo_locations']::regclass[]
$$;
comment on function ops.photo_group_tables() is 'The tables that photo groups are in.';

create function ops.orphaned_group_members() returns bigint
    language sql stable
    set search_path = ''
as $$
    select count(*)
      from public.photo_group_members m
     where not exists (select from public.photo_groups g where g.couple_id = m.couple_id and g.id = m.photo_group_id)
        or not exists (select from public.guests g where g.couple_id = m.couple_id and g.id = m.guest_id)
$$;
comment on function ops.orphaned_group_members() is 'Members of a group, or guests in it, that are not there; reads all of them.';

create function ops.photo_group_faults() returns table (fault text, subject text, issue text)
    language plpgsql stable
    set search_path = ''
as $$
#variable_conflict use_column
declare
    ours regclass[] := ops.photo_group_tables();
    enforced boolean;
    drift record;
begin
    return query
    select 'constraint', conrelid::regclass || ' ' || conname,
           format('constraint %s of %s is not validated: rows from before may break it', conname, conrelid::regclass)
      from pg_constraint where conrelid = any (ours) and not convalidated
    union all
    select 'missing constraint', child::text, format('%s has no foreign key to %s', child::regclass, parent::regclass)
      from (values ('public.photo_groups'::regclass, 'public.couples'::regclass),
                   ('public.photo_group_members', 'public.photo_groups'),
                   ('public.photo_group_members', 'public.guests')) wanted (child, parent)
     where not exists (select from pg_constraint
                        where contype = 'f' and conrelid = wanted.child and confrelid = wanted.parent)
    union all
    select 'foreign key trigger', t.tgrelid::regclass::text,
           format('foreign keys are not enforced: %s of their triggers on %s are disabled', count(*), t.tgrelid::regclass)
      from pg_trigger t join pg_constraint c on c.oid = t.tgconstraint
     where t.tgisinternal and t.tgenabled in ('D', 'R') and (c.conrelid = any (ours) or c.confrelid = any (ours))
     group by t.tgrelid
    union all
    select 'row security', c.oid::regclass::text,
           format('row-level security of %s is %s', c.oid::regclass,
                  case when c.relrowsecurity then 'not forced on its owner' else 'off: every tenant''s rows are open' end)
      from pg_class c where c.oid = any (ours) and not (c.relrowsecurity and c.relforcerowsecurity)
    union all
    select 'policy', c.oid::regclass::text, format('%s has lost its restrictive policy `tenant`', c.oid::regclass)
      from pg_class c
     where c.oid = any (ours)
       and not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenant' and not p.polpermissive)
    union all
    select 'index', i.indexrelid::regclass::text,
           format('index %s is invalid: queries do not use it', i.indexrelid::regclass)
      from pg_index i where i.indrelid = any (ours) and not (i.indisvalid and i.indisready and i.indislive)
    union all
    select 'trigger', wanted.name,
           format('trigger %s of public.photo_groups is %s', wanted.name,
                  case when t.oid is null then 'missing' else 'disabled' end)
      from (values ('count_added'), ('count_changed'), ('count_removed'), ('count_truncated'), ('touch')) wanted (name)
      left join pg_trigger t on t.tgrelid = 'public.photo_groups'::regclass and t.tgname = wanted.name
     where t.oid is null or t.tgenabled in ('D', 'R')
    union all
    select 'checksum', datname::text,
           format('%s pages of this database had a wrong checksum, last %s', checksum_failures, checksum_last_failure)
      from pg_stat_database where datname = current_database() and checksum_failures > 0;

    select * into drift from ops.photo_group_drift();
    if drift.groups <> 0 or drift.scheduled <> 0 then
        return query select 'counters', 'public.photo_groups',
            format('the counters are wrong by %s groups, %s of them scheduled', drift.groups, drift.scheduled);
    end if;
    if not ops.group_members_are_enforced() and ops.orphaned_group_members() > 0 then
        return query select 'orphans', 'public.photo_group_members',
            format('%s members belong to a group or a guest that is not there', ops.orphaned_group_members());
    end if;
end
$$;
comment on function ops.photo_group_faults() is 'What is broken of what keeps photo groups right.';

create function ops.group_members_are_enforced() returns boolean
    language sql stable
    set search_path = ''
as $$
    -- Both foreign keys are there, validated, and all their triggers fire.
    select count(distinct c.confrelid) = 2 and bool_and(c.convalidated)
       and not exists (select from pg_trigger t
                        where t.tgconstraint = any (array_agg(c.oid)) and t.tgenabled in ('D', 'R'))
      from pg_constraint c
     where c.contype = 'f' and c.conrelid = 'public.photo_group_members'::regclass
       and c.confrelid in ('public.photo_groups'::regclass, 'public.guests'::regclass)
$$;
comment on function ops.group_members_are_enforced() is 'Whether no member of a group can be without its group or guest.';

create function public.verify_photo_groups_backup_integrity() returns jsonb
    language plpgsql volatile security definer
    set search_path = ''
as $$
declare
    verified_at timestamptz := clock_timestamp();
    issues text[];
    consistent boolean;
    backup timestamptz;
    checked record;
    answer jsonb;
begin
    select coalesce(array_agg(issue), '{}') into issues from ops.photo_group_faults();
    consistent := cardinality(issues) = 0;
    select max(finished_at) into backup from ops.backups where not damaged;
    select status, "timestamp" as at into checked from ops.backup_verification_log
     where service = 'backups' order by "timestamp" desc limit 1;
    if not checked.status then
        issues := issues || format('the backups were read at %s and something is wrong: wedsync backup verify', checked.at);
    end if;
    answer := jsonb_build_object(
        'backup_verified', consistent and backup is not null and coalesce(checked.status, false),
        'verification_timestamp', verified_at,
        'data_counts', jsonb_build_object(
            'total_groups', (select count(*) from public.photo_groups),
            'total_members', (select count(*) from public.photo_group_members)),
        'consistency_check', consistent,
        'issues', to_jsonb(issues),
        'backups', jsonb_build_object(
            'last_backup', backup, 'last_verification', checked.at, 'last_verification_ok', checked.status));
    insert into ops.backup_verification_log (service, status, details, "timestamp")
    values ('photo_groups', consistent, answer, verified_at);
    perform ops.log_maintenance('verify', 'public.photo_groups', case when consistent then 'passed' else 'failed' end,
                                service => 'photo_groups_db');
    return answer;
end
$$;
comment on function public.verify_photo_groups_backup_integrity() is
    '{backup_verified, verification_timestamp, data_counts {total_groups, total_members}, consistency_check, issues []}; kept in backup_verification_log.';

create function public.maintain_photo_groups_database() returns jsonb
    language plpgsql volatile security definer
    set search_path = '' set lock_timeout = '2s'
as $$
declare
    found record;
    orphans bigint := 0;
    mended text[] := '{}';
    left_over text[] := '{}';
    drift record;
    jobs integer[] := '{}';
    rebuilt boolean;
    small boolean;
    actions jsonb;
    answer jsonb;
begin
    if not ops.group_members_are_enforced() then
        delete from public.photo_group_members m
         where not exists (select from public.photo_groups g where g.couple_id = m.couple_id and g.id = m.photo_group_id)
            or not exists (select from public.guests g where g.couple_id = m.couple_id and g.id = m.guest_id);
        get diagnostics orphans = row_count;
    end if;
    for found in
        select fault, subject, issue,
               case fault
               when 'constraint' then format('alter table %s validate constraint %I', c.conrelid::regclass, c.conname)
               when 'row security' then
                   format('alter table %s enable row level security, force row level security', subject)
               when 'trigger' then format('alter table public.photo_groups enable trigger %I', subject)
               when 'foreign key trigger' then format('alter table %s enable trigger all', subject)
               end as command
          from ops.photo_group_faults() f
          left join pg_constraint c on f.fault = 'constraint' and f.subject = c.conrelid::regclass || ' ' || c.conname
         where fault not in ('index', 'counters', 'orphans')
    loop
        begin
            if found.command is null then
                left_over := left_over || found.issue;
            else
                execute found.command;
                mended := mended || found.issue;
            end if;
        exception when others then  -- each by itself: what cannot be mended is told, with the reason
            left_over := left_over || format('%s (%s)', found.issue, sqlerrm);
        end;
    end loop;

    perform ops.fold_photo_group_changes();
    select * into drift from ops.photo_group_drift();
    if drift.groups <> 0 or drift.scheduled <> 0 then
        -- As one more change: right whatever else is being written just now.
        insert into ops.photo_group_changes (groups, scheduled, touched)
        values (drift.groups, drift.scheduled, 0);
        mended := mended || format('the counters are wrong by %s groups, %s of them scheduled',
                                   drift.groups, drift.scheduled);
    end if;

    analyze public.photo_groups, public.photo_group_members;

    -- REINDEX CONCURRENTLY cannot run in here: the keeper does it, for small tables, once a day at the most, and
    -- for an invalid index in any case.
    for found in
        select target,
               pg_total_relation_size(target) < 100 * 1048576 as is_small,
               exists (select from ops.jobs j where j.kind = 'reindex' and j.target = wanted.target::text
                          and j.state = 'done' and j.finished_at > now() - interval '1 day') as is_rebuilt,
               exists (select from pg_index i where i.indrelid = target and not i.indisvalid) as is_broken
          from unnest(array['public.photo_groups', 'public.photo_group_members']::regclass[]) wanted (target)
    loop
        rebuilt := coalesce(rebuilt, true) and found.is_rebuilt and not found.is_broken;
        if found.is_broken or (found.is_small and not found.is_rebuilt) then
            jobs := jobs || ops.queue_job('reindex', found.target::text);
        end if;
    end loop;

    actions := jsonb_build_object(
        'orphaned_members_deleted', orphans,
        'statistics_updated', true,
        'reindex_performed', rebuilt,
        'reindex_jobs', to_jsonb(jobs),
        'mended', to_jsonb(mended),
        'not_mended', to_jsonb(left_over));
    perform ops.log_maintenance('maintain', 'public.photo_groups',
                                case when left_over = '{}' then 'completed' else 'incomplete' end,
                                actions => actions, service => 'photo_groups_db');
    return jsonb_build_object(
        'maintenance_completed', left_over = '{}', 'timestamp', clock_timestamp(), 'actions_taken', actions);
end
$$;
comment on function public.maintain_photo_groups_database() is
    '{maintenance_completed, timestamp, actions_taken {orphaned_members_deleted, statistics_updated, reindex_performed}}; mends what the integrity check finds; kept in maintenance_log.';

-- Conflicts -------------------------------------------------------------------------------------------

create function public.detect_advanced_conflicts(p_couple_id uuid)
    returns table (kind text, severity text, groups uuid[], guests uuid[], message text, detail jsonb)
    language sql stable
    set search_path = ''
as $$
    -- Members are read once, as a list for each group: the planner takes a CTE for one row, and joined with its like
    -- it would be read again for each of thousands.
    with wedding as materialized (
        select wedding_date, time_zone from public.couples where id = p_couple_id
    ), lists as materialized (
        select photo_group_id, array_agg(guest_id) as guests
          from public.photo_group_members where couple_id = p_couple_id group by photo_group_id
    ), declined as materialized (
        select array_agg(id) as guests from public.guests where couple_id = p_couple_id and rsvp_status = 'declined'
    ), planned as materialized (
        -- Groups that are still to be taken.
        select g.id, g.name, g.scheduled_start as starts_at,
               g.scheduled_start + make_interval(mins => g.estimated_duration) as ends_at,
               coalesce(g.photo_location_id::text, nullif(lower(btrim(g.location)), '')) as place,
               coalesce(l.name, g.location) as place_name,
               coalesce(m.guests, '{}') as guests
          from public.photo_groups g
          left join public.photo_locations l on l.couple_id = g.couple_id and l.id = g.photo_location_id
          left join lists m on m.photo_group_id = g.id
         where g.couple_id = p_couple_id and g.status in ('planned', 'ready')
    ), photographers as materialized (
        select a.photo_group_id as group_id, a.organization_id, a.user_id
          from public.photographer_assignments a
         where a.couple_id = p_couple_id and a.photo_group_id in (select id from planned)
    ), at_once as materialized (
        select a.id as a_id, a.name as a_name, b.id as b_id, b.name as b_name,
               a.place = b.place as same_place, a.place_name, a.guests as a_guests, b.guests as b_guests,
               greatest(a.starts_at, b.starts_at) as from_, least(a.ends_at, b.ends_at) as until
          from planned a
          join planned b on a.id < b.id and a.starts_at < b.ends_at and b.starts_at < a.ends_at
    ), found as (
        select 'guest_overlap' as kind, 'error' as severity, array[o.a_id, o.b_id] as groups, shared.guests,
               format('"%s" and "%s" are at the same time; guests in both: %s', o.a_name, o.b_name,
                      cardinality(shared.guests)) as message,
               jsonb_build_object('from', o.from_, 'until', o.until) as detail
          from at_once o
          cross join lateral (
               select array_agg(guest order by guest) as guests
                 from unnest(o.a_guests) guest where guest = any (o.b_guests)) shared
         where shared.guests is not null
        union all
        select 'location_overlap', 'error', array[a_id, b_id], '{}',
               format('"%s" and "%s" are at %s at the same time', a_name, b_name, place_name),
               jsonb_build_object('from', from_, 'until', until)
          from at_once where same_place
        union all
        select 'photographer_overlap', 'error', array[o.a_id, o.b_id], '{}',
               format('"%s" and "%s" are at the same time, with the same photographer', o.a_name, o.b_name),
               jsonb_build_object('from', o.from_, 'until', o.until, 'users', jsonb_agg(distinct one.user_id))
          from at_once o
          join photographers one on one.group_id = o.a_id
          join photographers other on other.group_id = o.b_id
               and (other.organization_id, other.user_id) = (one.organization_id, one.user_id)
         group by o.a_id, o.b_id, o.a_name, o.b_name, o.from_, o.until
        union all
        -- Seen by those who see both weddings; of the other one nothing is told.
        select 'photographer_elsewhere', 'error', array[p.id], '{}',
               format('a photographer of "%s" is at another wedding at that time', p.name),
               jsonb_build_object('users', jsonb_agg(distinct mine.user_id))
          from planned p
          join photographers mine on mine.group_id = p.id
          join public.photographer_assignments theirs
            on (theirs.organization_id, theirs.user_id) = (mine.organization_id, mine.user_id)
               and theirs.couple_id <> p_couple_id
          join public.photo_groups g
            on g.couple_id = theirs.couple_id and g.id = theirs.photo_group_id and g.status in ('planned', 'ready')
               and g.scheduled_start < p.ends_at
               and p.starts_at < g.scheduled_start + make_interval(mins => g.estimated_duration)
         group by p.id, p.name
        union all
        select 'dependency_order', 'error', array[later.id, earlier.id], '{}',
               format('"%s" must come after "%s"%s, and starts before that', later.name, earlier.name,
                      case when d.gap_minutes > 0 then format(' and %s minutes more', d.gap_minutes) else '' end),
               jsonb_build_object('not_before', earlier.ends_at + make_interval(mins => d.gap_minutes),
                                  'starts_at', later.starts_at)
          from public.photo_group_dependencies d
          join planned later on later.id = d.photo_group_id
          join planned earlier on earlier.id = d.depends_on_id
         where d.couple_id = p_couple_id
           and later.starts_at < earlier.ends_at + make_interval(mins => d.gap_minutes)
        union all
        select 'dependency_unscheduled', 'warning', array[later.id, earlier.id], '{}',
               format('"%s" has a time, "%s", which must come before it, has none', later.name, earlier.name), '{}'
          from public.photo_group_dependencies d
          join planned later on later.id = d.photo_group_id and later.starts_at is not null
          join planned earlier on earlier.id = d.depends_on_id and earlier.starts_at is null
         where d.couple_id = p_couple_id
        union all
        -- The day ends at six the next morning: the last dance is of the day.
        select 'outside_wedding_day', 'error', array[p.id], '{}',
               format('"%s" is at %s, the wedding is on %s', p.name,
                      to_char(p.starts_at at time zone w.time_zone, 'YYYY-MM-DD HH24:MI'), w.wedding_date),
               jsonb_build_object('starts_at', p.starts_at)
          from planned p cross join wedding w
         where p.starts_at < w.wedding_date::timestamp at time zone w.time_zone
            or p.ends_at > (w.wedding_date + 1 + time '06:00') at time zone w.time_zone
        union all
        select 'empty_group', 'warning', array[p.id], '{}', format('nobody is in "%s"', p.name), '{}'
          from planned p where p.guests = '{}'
        union all
        select 'guest_declined', 'warning', array[p.id], gone.guests,
               format('guests of "%s" who do not come: %s', p.name, cardinality(gone.guests)), '{}'
          from planned p
          cross join declined d
          cross join lateral (
               select array_agg(guest order by guest) as guests
                 from unnest(p.guests) guest where guest = any (d.guests)) gone
         where gone.guests is not null
    )
    select kind, severity, groups, guests, message, detail
      from found
     order by severity, kind, groups
$$;
comment on function public.detect_advanced_conflicts(uuid) is
    'What goes wrong with a couple''s photo groups that are still to be taken: kind, severity error|warning, groups, guests, message, detail; by the rights of the caller.';

revoke execute on function
    public.photo_groups_health_check(), public.get_photo_groups_performance_stats(),
    public.verify_photo_groups_backup_integrity(), public.maintain_photo_groups_database(),
    public.detect_advanced_conflicts(uuid)
    from public, anon, authenticated;
grant execute on function
    public.photo_groups_health_check(), public.get_photo_groups_performance_stats(),
    public.verify_photo_groups_backup_integrity(), public.maintain_photo_groups_database()
    to service_role;
grant execute on function public.detect_advanced_conflicts(uuid) to authenticated, service_role;
