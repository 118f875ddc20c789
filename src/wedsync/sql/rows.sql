-- name: session
-- Both sides write values down alike, as pg_dump does: what is read here reads back as the same value there.
select set_config('timezone', 'UTC', false), set_config('datestyle', 'ISO, YMD', false),
       set_config('intervalstyle', 'postgres', false), set_config('extra_float_digits', '1', false),
       set_config('bytea_output', 'hex', false), set_config('lc_monetary', 'C', false),
       set_config('xmloption', 'content', false), set_config('search_path', 'pg_catalog', false),
       set_config('row_security', 'off', false), set_config('quote_all_identifiers', 'off', false),
       set_config('max_parallel_workers_per_gather', '0', false);

-- name: tables
-- Every table of users, or those named, as one JSON object each. Partitions are read through their parent.
select jsonb_build_object(
           'schema', n.nspname, 'relation', c.relname, 'estimated_rows', greatest(c.reltuples, 0)::bigint,
           'columns', (select coalesce(jsonb_agg(jsonb_build_object(
                                  'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                                  'generated', a.attgenerated <> '', 'identity', a.attidentity = 'a')
                                  order by a.attnum), '[]')
                         from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
           'key', (select coalesce(jsonb_agg(a.attname order by k.n), '[]')
                     from pg_index i cross join unnest(i.indkey::smallint[]) with ordinality as k (attnum, n)
                     join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
                    where i.indrelid = c.oid and i.indisprimary),
           'foreign_keys', (select coalesce(jsonb_agg(jsonb_build_object(
                                  'name', f.conname, 'table', rn.nspname || '.' || rc.relname,
                                  'columns', (select jsonb_agg(a.attname order by k.n)
                                                from unnest(f.conkey) with ordinality as k (attnum, n)
                                                join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum),
                                  'referenced', (select jsonb_agg(a.attname order by k.n)
                                                   from unnest(f.confkey) with ordinality as k (attnum, n)
                                                   join pg_attribute a on a.attrelid = rc.oid and a.attnum = k.attnum))
                                  order by f.conname), '[]')
                              from pg_constraint f
                              join pg_class rc on rc.oid = f.confrelid and not rc.relispartition
                              join pg_namespace rn on rn.oid = rc.relnamespace
                             where f.conrelid = c.oid and f.contype = 'f'),
           'unique_keys', (select coalesce(jsonb_agg(jsonb_build_object(
                                  'name', ic.relname, 'primary', i.indisprimary,
                                  'deferrable', not i.indimmediate,
                                  'nulls_equal', i.indnullsnotdistinct,
                                  'predicate', pg_get_expr(i.indpred, i.indrelid, true),
                                  'expressions', (select jsonb_agg(pg_get_indexdef(i.indexrelid, k, true) order by k)
                                                    from generate_series(1, i.indnkeyatts) as k),
                                  'operators', (select jsonb_agg('operator(' || quote_ident(opn.nspname) || '.' || op.oprname || ')'
                                                                 order by e.n)
                                                  from pg_constraint x
                                                 cross join unnest(x.conexclop) with ordinality as e (oid, n)
                                                  join pg_operator op on op.oid = e.oid
                                                  join pg_namespace opn on opn.oid = op.oprnamespace
                                                 where x.conindid = i.indexrelid and x.contype = 'x'),
                                  'columns', (select coalesce(jsonb_agg(a.attname order by a.attnum), '[]')
                                                from pg_attribute a
                                               where a.attrelid = c.oid and a.attnum > 0
                                                 and (a.attnum = any (i.indkey::smallint[])
                                                      or exists (select from pg_depend d
                                                                  where d.classid = 'pg_class'::regclass
                                                                    and d.objid = i.indexrelid
                                                                    and d.refclassid = 'pg_class'::regclass
                                                                    and d.refobjid = c.oid
                                                                    and d.refobjsubid = a.attnum)))
                                  ) order by i.indisprimary desc, ic.relname), '[]')
                             from pg_index i join pg_class ic on ic.oid = i.indexrelid
                            where i.indrelid = c.oid and (i.indisunique or i.indisexclusion) and i.indisvalid))::text
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p'
   and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_toast%%'
   and (%(names)s::text[] is null or n.nspname || '.' || c.relname = any (%(names)s))
   and (%(names)s::text[] is not null
        or not exists (select from pg_depend d
                        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'))
 order by n.nspname, c.relname;

-- name: snapshot
-- Everything after it, in this transaction, is of one moment, and nothing is written.
set transaction isolation level repeatable read, read only;

-- name: place
select to_regclass('ops.row_recovery_rows') is not null;

-- name: write_entry
insert into ops.row_recoveries (id, scope, belongs_to, restored_to, by, reason, undoes, put_back, changed, removed, kept,
                                expires_at)
values (%(id)s, %(scope)s, %(belongs_to)s, %(restored_to)s, %(by)s, %(reason)s, %(undoes)s, %(put_back)s, %(changed)s,
        %(removed)s, %(kept)s, %(expires_at)s);

-- name: mark_undone
update ops.row_recoveries set undone_by = %(by)s where id = %(id)s;

-- name: past_recoveries
select v.id, v.at, v.scope, v.belongs_to, v.restored_to, v.by, v.reason, v.undoes, v.undone_by, v.put_back, v.changed,
       v.removed, v.kept, v.expires_at, v.transaction_id::text as transaction_id,
       coalesce(r.tables, '{}') as tables, coalesce(r.rows, 0) as rows
  from ops.row_recoveries v
  left join lateral (select array_agg(distinct table_name) as tables, count(*) as rows
                       from ops.row_recovery_rows where recovery_id = v.id and v.expires_at > clock_timestamp()) r on true
 where %(id)s::uuid is null or v.id = %(id)s
 order by v.at desc
 limit %(limit)s;

-- name: recovery_is_there
-- Whether it was committed; if not, whether a server process may still be at it: before its commit ends nobody sees
-- the row, and the process does not notice that its client has gone. Nothing shows the query of another's process
-- but to its own role and to a superuser; its lock on the recovery's id is shown to all.
select exists (select from ops.row_recoveries where id = %(id)s) as there,
       not pg_try_advisory_xact_lock(hashtextextended('wedsync row recovery ' || %(id)s::text, 0)) as under_way;

-- name: hold_recovery
-- Held until the commit, or until the server has undone it.
select pg_advisory_xact_lock(hashtextextended('wedsync row recovery ' || %(id)s::text, 0));

-- name: begin_apply
select set_config('lock_timeout', %(lock_timeout)s, true), set_config('application_name', %(program)s, true),
       set_config('request.id', %(request)s, true);

-- name: as_replica
-- As logical replication writes: triggers that touch, guard or derive do not fire, nor do foreign keys.
set local session_replication_role = replica;

-- name: database_now
select clock_timestamp();

-- name: one_moment
-- Everything after it, in this transaction, is of one moment.
set transaction isolation level repeatable read;

-- name: path_of_the_database
-- Triggers that fire in any case find what they look for as always.
set local search_path to default;

-- name: path_of_ours
set local search_path to pg_catalog;

-- name: only_read
-- For a condition in an operator's words: it can write nothing, and does not go on for ever.
set transaction isolation level repeatable read, read only;
set local statement_timeout = '10min';

-- name: volatile_functions
-- Of the functions named ([schema,] name, as JSON arrays) those that may write: one that does is marked volatile, or
-- PostgreSQL lets it write nothing.
select distinct p.oid::regproc::text
  from jsonb_array_elements(%(names)s) as called
  join pg_proc p on p.proname = called ->> -1 and p.provolatile = 'v'
  join pg_namespace n on n.oid = p.pronamespace
 where n.nspname = case when jsonb_array_length(called) > 1 then called ->> 0 else 'pg_catalog' end
 order by 1;
