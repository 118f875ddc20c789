-- name: database_to_copy
-- What CREATE DATABASE has to be told. As JSON: the names of the locale's columns differ between versions.
select pg_encoding_to_char(d.encoding) as encoding, d.datcollate::text as lc_collate, d.datctype::text as lc_ctype,
       case to_jsonb(d) ->> 'datlocprovider' when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end as provider,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') as locale,
       pg_get_userbyid(d.datdba)::text as owner
  from pg_database d
 where d.datname = current_database();

-- name: like_shadows
-- Databases named like shadows of this one, with what their comments say.
select datname::text as name, shobj_description(oid, 'pg_database') as comment
  from pg_database
 where starts_with(datname, %(prefix)s);

-- name: relations
select count(*) from pg_class where oid >= 16384;

-- name: try_lock
select pg_try_advisory_lock(%(key)s);

-- name: unlock
select pg_advisory_unlock(%(key)s);

-- name: existing_relations
-- What was there before the run: of what the run makes itself, locks and sizes say nothing.
select c.oid::bigint as oid, format('%I.%I', n.nspname, c.relname) as name, n.nspname::text as schema,
       c.relname::text as bare_name, c.relkind::text as kind, coalesce(i.indrelid, 0)::bigint as table_oid,
       c.relfilenode::bigint as filenode
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_index i on i.indexrelid = c.oid
 where n.nspname !~ '^pg_' and n.nspname <> 'information_schema';

-- name: sample
-- What this session holds at this point of its transaction, as the transaction sees it itself: a relation that
-- it dropped has no name any more.
select l.relation::bigint as oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) as name,
       coalesce(c.relkind::text, '') as kind, coalesce(i.indrelid, 0)::bigint as table_oid, coalesce(c.relfilenode, 0)::bigint as filenode,
       c.oid is null as dropped, coalesce(pg_catalog.pg_stat_get_xact_numscans(c.oid), 0) as scans, l.modes
  from (select relation, array_agg(mode) as modes
          from pg_catalog.pg_locks
         where locktype = 'relation' and pid = pg_catalog.pg_backend_pid() and granted
           and database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
         group by relation) l
  left join pg_catalog.pg_class c on c.oid = l.relation
  left join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_index i on i.indexrelid = c.oid
 where c.oid is null or (n.nspname !~ '^pg_' and n.nspname <> 'information_schema');

-- name: beyond
-- Catalogues of the whole server that this transaction writes to. Writers keep their lock to the end, but for
-- those of pg_database and pg_tablespace; pg_shdepend is written to for every object that has an owner.
select coalesce(array_agg(distinct name order by name), '{}') from (
    select l.relation::regclass::text
      from pg_catalog.pg_locks l
     where l.locktype = 'relation' and l.pid = pg_catalog.pg_backend_pid() and l.database = 0
       and l.mode not in ('AccessShareLock', 'RowShareLock')
       and l.relation not in ('pg_catalog.pg_shdepend'::regclass, 'pg_catalog.pg_shdepend_reference_index'::regclass,
                              'pg_catalog.pg_shdepend_depender_index'::regclass)
       and exists (select from pg_catalog.pg_class c where c.oid = l.relation and c.relkind = 'r')
    union all
    select 'pg_database' from pg_catalog.pg_database where xmin = pg_catalog.pg_current_xact_id_if_assigned()::xid
    union all
    select 'pg_tablespace' from pg_catalog.pg_tablespace where xmin = pg_catalog.pg_current_xact_id_if_assigned()::xid
) x (name);

-- name: live_sizes
-- Rows (the planner's estimate, or what was counted since) and bytes of the relations as they are in use.
select format('%%I.%%I', n.nspname, c.relname) as name,
       case when c.relkind = 'p'
            then (select coalesce(sum(greatest(p.reltuples, pg_stat_get_live_tuples(p.oid), 0)), 0)
                    from pg_partition_tree(c.oid) t join pg_class p on p.oid = t.relid where t.isleaf)
            else greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0) end::bigint as rows,
       case when c.relkind = 'p'
            then (select coalesce(sum(pg_total_relation_size(t.relid)), 0) from pg_partition_tree(c.oid) t)
            else pg_total_relation_size(c.oid) end::bigint as size_bytes
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where format('%%I.%%I', n.nspname, c.relname) = any(%(names)s) and c.relkind in ('r', 'p', 'm', 'f', 'S');

-- name: columns
-- Every column of every table that holds rows itself; the rows of partitions are counted with their parent's.
select c.oid::bigint as table_oid, a.attnum::int as number, format('%I.%I', n.nspname, c.relname) as table_name,
       n.nspname::text as schema, c.relname::text as name, a.attname::text as column_name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) as type,
       coalesce((select i.inhparent from pg_catalog.pg_inherits i
                  where i.inhrelid = c.oid and c.relispartition), 0)::bigint as parent_oid
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where c.relkind in ('r', 'p') and c.relpersistence <> 't'
   and n.nspname !~ '^pg_' and n.nspname <> 'information_schema';

-- name: count_only
-- Rows that a policy hides would go as well: an error is better than too small a number.
select set_config('default_transaction_read_only', 'on', false), set_config('row_security', 'off', false);

-- name: extension_owners
select extname::text as name, pg_get_userbyid(extowner)::text as owner from pg_extension;

-- name: set_extension_owner
-- There is no ALTER EXTENSION … OWNER, and pg_dump says nothing of owners of extensions: the one who reads the dump
-- would own them all, and a rollback that drops one be refused. This is a database to be thrown away.
update pg_catalog.pg_extension set extowner = %(owner)s::regrole
 where extname = %(name)s and extowner <> %(owner)s::regrole;
