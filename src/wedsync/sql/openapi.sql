-- name: visible
-- What the current role may use of a schema ($1), as one row: names of tables and views, and the oids of functions.
select coalesce((select json_agg(c.relname)
                   from pg_catalog.pg_class c
                  where c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
                    and (pg_catalog.pg_has_role(c.relowner, 'usage')
                         or pg_catalog.has_table_privilege(c.oid, 'select, insert, update, delete, truncate, references, trigger')
                         or pg_catalog.has_any_column_privilege(c.oid, 'select, insert, update, references'))), '[]') as tables,
       coalesce((select json_agg(p.oid::bigint)
                   from pg_catalog.pg_proc p
                  where p.pronamespace = n.oid and p.prokind = 'f'
                    and pg_catalog.has_function_privilege(p.oid, 'execute')), '[]') as functions
  from pg_catalog.pg_namespace n
 where n.nspname = $1;
