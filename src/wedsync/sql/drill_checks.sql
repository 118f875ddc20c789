-- name: settle_session
select set_config('search_path', '', false), set_config('row_security', 'off', false),
       set_config('max_parallel_workers_per_gather', '0', false), set_config('jit', 'off', false);

-- name: has_relation
select to_regclass(%(name)s) is not null;

-- name: has_function
select to_regprocedure(%(signature)s) is not null;

-- name: newest_beat
select beat_at from ops.heartbeat order by beat_at desc limit 1;

-- name: own_timeline
-- The timeline that is replayed; after a promotion the one that was left.
select case when pg_is_in_recovery() then nullif(min_recovery_end_timeline, 0) end as timeline
  from pg_control_recovery();

-- name: reachable_tables
-- What the roles of callers may touch: row-level security must be on there, with at least one policy.
with caller as (
    select rolname from pg_roles where rolname in ('anon', 'authenticated') and not rolbypassrls
)
select c.oid::regclass::text as name,
       c.relrowsecurity as secured,
       (select count(*) from pg_policy p where p.polrelid = c.oid) as policies,
       exists (select from caller where rolname = pg_get_userbyid(c.relowner)) as owned
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p')
   and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
   and exists (select from caller
                where has_schema_privilege(rolname, n.oid, 'usage')
                  and (has_table_privilege(rolname, c.oid, 'select, insert, update, delete, truncate')
                       or has_any_column_privilege(rolname, c.oid, 'select, insert, update')))
 order by 1;

-- name: invalid_indexes
select count(*) as indexes,
       coalesce(array_agg(i.indexrelid::regclass::text order by 1) filter (
           where not (i.indisvalid and i.indisready and i.indislive)), '{}') as broken
  from pg_index i
  join pg_class c on c.oid = i.indexrelid
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname not like 'pg\_temp%%';

-- name: collations
-- Versions of the rules by which text was sorted into indexes, and those of this machine's libraries.
select 'database ' || datname as name, datcollversion as recorded,
       pg_database_collation_actual_version(oid) as here
  from pg_database where datname = current_database()
union all
select distinct 'collation ' || quote_ident(c.collname), c.collversion, pg_collation_actual_version(c.oid)
  from pg_collation c
 where c.oid in (select a.attcollation from pg_attribute a join pg_index i on i.indexrelid = a.attrelid)
   and c.collversion is not null;

-- name: extensions
select e.extname::text as name, e.extversion as version,
       exists (select from pg_available_extension_versions v
                where v.name = e.extname and v.version = e.extversion) as available,
       array(select distinct p.probin from pg_depend d join pg_proc p on p.oid = d.objid
              where d.refclassid = 'pg_extension'::regclass and d.refobjid = e.oid
                and d.classid = 'pg_proc'::regclass and d.deptype = 'e' and p.probin is not null) as libraries
  from pg_extension e order by 1;

-- name: constraints
-- Constraints of tables; partitions and children have their own rows, inherited ones are checked with the parent's.
select c.oid::bigint as id, c.conrelid::regclass::text as "table", quote_ident(c.conname) as name, c.contype::text as kind,
       c.convalidated as validated,
       pg_get_constraintdef(c.oid) as definition,
       case when c.contype = 'c' then pg_get_expr(c.conbin, c.conrelid) end as expression,
       nullif(c.confrelid, 0)::regclass::text as referenced,
       array(select quote_ident(a.attname) from unnest(c.conkey) with ordinality k(n, at)
               join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.n order by k.at) as columns,
       array(select quote_ident(a.attname) from unnest(c.confkey) with ordinality k(n, at)
               join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.n order by k.at) as referenced_columns,
       array(select format('operator(%I.%s)', s.nspname, o.oprname) from unnest(c.conpfeqop) with ordinality k(n, at)
               join pg_operator o on o.oid = k.n join pg_namespace s on s.oid = o.oprnamespace order by k.at) as operators,
       c.confmatchtype = 'f' as match_full,
       t.relkind = 'p' as partitioned,
       pg_table_size(c.conrelid)::bigint as size_bytes
  from pg_constraint c
  join pg_class t on t.oid = c.conrelid
  join pg_namespace n on n.oid = t.relnamespace
 where c.contype in ('c', 'f', 'p', 'u', 'x') and c.conparentid = 0
   and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
 order by size_bytes, "table", name;

-- name: verify_photo_groups
select public.verify_photo_groups_backup_integrity();

-- name: data_checksums
select current_setting('data_checksums') = 'on';

-- name: btree_bytes
-- Tables by size, with their indexes: what pg_amcheck reads.
select c.oid::regclass::text as name, pg_total_relation_size(c.oid)::bigint as size_bytes
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'm', 't') and n.nspname not like 'pg\_temp%%'
 order by 2, 1;
