-- name: see_every_row
-- A policy that hides weddings from this role is an error, not a quiet day (PostgreSQL manual, 5.8).
set row_security = off;

-- name: couples_exist
select to_regclass('public.couples') is not null;

-- name: calendar_today
-- The day where the platform is, and whether there are weddings at all.
select (%(now)s::timestamptz at time zone %(time_zone)s)::date as today,
       exists (select from public.couples where status <> 'cancelled') as any_wedding;

-- name: weddings_near
-- A little wider than today and tomorrow anywhere on earth; each with the present day in its own time zone.
select id::text as couple_id, wedding_date, time_zone,
       (%(now)s::timestamptz at time zone time_zone)::date as today_there
  from public.couples
 where status <> 'cancelled'
   and wedding_date between (%(now)s::timestamptz at time zone 'UTC')::date - 1
                        and (%(now)s::timestamptz at time zone 'UTC')::date + 2;

-- name: tables
-- Every table that may hold a tenant's or a person's rows, as one JSON object each. Partitions are read by their parent.
select jsonb_build_object(
           'schema', n.nspname, 'relation', c.relname, 'comment', coalesce(obj_description(c.oid, 'pg_class'), ''),
           'columns', (select jsonb_agg(jsonb_build_object(
                                  'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                                  'nullable', not a.attnotnull,
                                  'comment', coalesce(col_description(c.oid, a.attnum), '')) order by a.attnum)
                         from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
           'key', (select jsonb_agg(a.attname order by k.n)
                     from pg_index i cross join unnest(i.indkey::smallint[]) with ordinality as k (attnum, n)
                     join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
                    where i.indrelid = c.oid and i.indisprimary),
           'references', (select coalesce(jsonb_agg(jsonb_build_object(
                                  'table', rn.nspname || '.' || rc.relname,
                                  'columns', (select jsonb_agg(a.attname order by k.n)
                                                from unnest(f.conkey) with ordinality as k (attnum, n)
                                                join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum),
                                  'referenced', (select jsonb_agg(a.attname order by k.n)
                                                   from unnest(f.confkey) with ordinality as k (attnum, n)
                                                   join pg_attribute a on a.attrelid = rc.oid and a.attnum = k.attnum))
                                  order by f.conname), '[]')
                            from pg_constraint f
                            join pg_class rc on rc.oid = f.confrelid
                            join pg_namespace rn on rn.oid = rc.relnamespace
                           where f.conrelid = c.oid and f.contype = 'f'),
           'left_out', coalesce((select to_jsonb(w.left_out) from audit.watched w
                                  where w.table_name = n.nspname || '.' || c.relname), '[]'))::text
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname in ('public', 'auth', 'app') and c.relkind in ('r', 'p') and not c.relispartition
   and not exists (select from pg_depend d
                    where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
 order by n.nspname, c.relname;

-- name: history_is_there
select to_regprocedure('audit.erase(uuid, text, uuid, text, jsonb, jsonb)') is not null;

-- name: snapshot
-- Everything after it, in this transaction, is of one moment. Policies that would hide rows are an error.
set transaction isolation level repeatable read, read only;

-- name: now
select statement_timestamp() as at;

-- name: email_of_user
select email from auth.users where id = %(id)s and email_confirmed_at is not null;

-- name: in_history
-- Whether values of somebody whose row was deleted are still in the history.
select exists (
    select from audit.record_version v
     where num_nonnulls(v.old_row, v.new_row) > 0
       and ((%(kind)s::text = 'couple' and v.couple_id = %(id)s)
            or (%(kind)s::text = 'organization' and v.organization_id = %(id)s and v.table_name <> 'public.couples')
            or (%(kind)s::text = 'user' and v.table_name = 'auth.users'
                and v.row_key = jsonb_build_array(%(id)s::uuid::text))));

-- name: wedding_is_near
select c.wedding_date::text as wedding_date, c.time_zone
  from public.couples c
 where c.id = %(id)s and c.status <> 'cancelled'
   and c.wedding_date - (%(now)s::timestamptz at time zone c.time_zone)::date in (0, 1);

-- name: weddings_looked_after
select count(*) from public.couples where organization_id = %(id)s and partner_one_name <> '(erased)';

-- name: erase_history
select audit.erase(%(erasure)s, %(kind)s, %(subject)s, %(by)s, %(links)s, %(columns)s);

-- name: erasure_in_database
select count(*) from audit.erasures where id = %(id)s;

-- name: erasures_in_database
select id, erased_at, subject_kind, subject_id, by from audit.erasures order by erased_at, id;

-- name: changes
-- What was changed about a wedding, oldest first; a load stands for the inserts of a whole table.
select v.changed_at, v.table_name, v.operation, v.statement, v.row_key, v.user_id::text as user_id, v.role_name,
       v.session_name, v.application_name, v.client_address::text as client_address, v.forwarded_for, v.request_id,
       v.transaction_id::text as transaction_id, v.old_row, v.new_row, v.erasure_id::text as erasure_id
  from audit.record_version v
 where v.couple_id = %(couple)s and v.changed_at >= %(since)s
   and (%(table)s::text is null or v.table_name = %(table)s)
 order by v.id;

-- name: rows_as_of
select audit.rows_as_of(%(table)s::regclass, %(couple)s, %(at)s);

-- name: table_exists
select to_regclass(%(table)s) is not null;

-- name: couple_known
-- There now, or once: its history is still there.
select exists (select from public.couples where id = %(couple)s)
    or exists (select from audit.record_version where couple_id = %(couple)s);

-- name: moment_there
-- A wall clock's time at the wedding's place; in UTC for a wedding that is gone.
select %(at)s::timestamp at time zone coalesce(
    (select time_zone from public.couples where id = %(couple)s), 'UTC');

-- name: give_key
-- Until the end of the transaction. A parameter: neither the log nor pg_stat_statements has its value.
select set_config('app.secret_key', %(key)s, true) is not null;

-- name: give_new_key
select set_config('app.new_secret_key', %(key)s, true) is not null;

-- name: put_secret
select app.put_secret(%(organization)s, %(name)s, %(value)s);

-- name: key_of_secret
select key_id from app.integration_secrets where organization_id = %(organization)s and name = %(name)s;

-- name: get_secret
select app.get_secret(%(organization)s, %(name)s);

-- name: rotate_secrets
select app.rotate_secrets();

-- name: couple_is_there
select to_regclass('public.couples') is not null and exists (select from public.couples where id = %(couple)s);

-- name: changes_of_couple
-- A transaction may write long before it commits: a day.
insert into pg_temp.ws_changes
select v.table_name, v.row_key, audit.committed_at(v.xmin, v.transaction_id, v.changed_at), v.transaction_id::text,
       coalesce(v.user_id::text, v.role_name), v.operation, v.id
  from audit.record_version v
 where v.couple_id = %(couple)s and v.row_key is not null
   and v.changed_at > %(since)s::timestamptz - interval '1 day'
   and audit.committed_at(v.xmin, v.transaction_id, v.changed_at) > %(since)s::timestamptz;

-- name: erase_row_recoveries
select ops.erase_row_recoveries(%(column)s, %(subject)s, %(email)s);

-- name: row_recoveries_are_there
select to_regprocedure('ops.erase_row_recoveries(text, uuid, text)') is not null;
