-- name: tables_compared
-- The tables of users, and which column says whose wedding a row belongs to. What only ever records (the history, the
-- platform's own notes) differs between any two moments and says nothing.
select n.nspname || '.' || c.relname as table_name,
       case when n.nspname = 'public' and c.relname = 'couples' then 'id'
            else (select a.attname::text from pg_attribute a
                   where a.attrelid = c.oid and a.attname = 'couple_id' and a.attnum > 0 and not a.attisdropped) end
           as couple_column
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p'
   and n.nspname not in ('pg_catalog', 'information_schema', 'audit', 'ops') and n.nspname not like 'pg\_%%'
   and not exists (select from pg_depend d
                    where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
 order by 1;

-- name: couples_exist
select to_regclass('public.couples') is not null;

-- name: names_of_couples
select id::text as id, concat_ws(' & ', nullif(partner_one_name, ''), nullif(partner_two_name, '')) as name
  from public.couples where id = any (%(ids)s::uuid[]);
