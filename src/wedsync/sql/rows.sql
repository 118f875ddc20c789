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
