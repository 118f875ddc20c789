-- Questions about a live catalogue: each gives the objects that break one rule, as `object` and `message`.
-- Parameters: exposed (schemas that the data API shows), ours (all schemas of the platform), callers (the roles of
-- the data API's callers), tenant_columns (what says whose a row is).

-- name: table-without-key
select n.nspname || '.' || c.relname as object, 'has no primary key' as message
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(ours)s) and c.relkind in ('r', 'p') and not c.relispartition
   and not exists (select from pg_index x where x.indrelid = c.oid and x.indisprimary);

-- name: rls-disabled
-- Tables that somebody other than the owner may touch, and who is bound by policies.
select n.nspname || '.' || c.relname as object,
       'row-level security is off, and ' || string_agg(r.rolname, ', ' order by r.rolname) || ' may use it' as message
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_roles r on not r.rolsuper and not r.rolbypassrls and r.oid <> c.relowner and r.rolname !~ '^pg_'
       and has_schema_privilege(r.oid, n.oid, 'usage')
       and (has_table_privilege(r.oid, c.oid, 'select, insert, update, delete')
            or has_any_column_privilege(r.oid, c.oid, 'select, insert, update'))
 where n.nspname = any (%(ours)s) and c.relkind in ('r', 'p') and not c.relrowsecurity
   and not pg_has_role(r.oid, 'pg_read_all_data', 'usage')
 group by 1;

-- name: rls-disabled-in-api
select n.nspname || '.' || c.relname as object, 'row-level security is off in a schema that the data API shows' as message
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(exposed)s) and c.relkind in ('r', 'p') and not c.relrowsecurity;

-- name: rls-not-forced
select n.nspname || '.' || c.relname as object, 'row-level security is on but not forced: its owner passes it' as message
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(ours)s) and c.relkind in ('r', 'p') and c.relrowsecurity and not c.relforcerowsecurity;

-- name: policy-without-rls
select distinct n.nspname || '.' || c.relname as object, 'has policies, and row-level security is off' as message
  from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
 where not c.relrowsecurity;

-- name: rls-without-policy
select n.nspname || '.' || c.relname as object, 'has row-level security and no policy: its rows are out of reach' as message
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(exposed)s) and c.relkind in ('r', 'p') and c.relrowsecurity
   and not exists (select from pg_policy p where p.polrelid = c.oid);

-- name: no-tenant-policy
select n.nspname || '.' || c.relname as object,
       case count(p.oid) when 0 then 'no RESTRICTIVE policy for all commands bounds its rows to a tenant'
            else count(p.oid) || ' RESTRICTIVE policies: keep one, or nobody can say what it allows' end as message
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_policy p on p.polrelid = c.oid and not p.polpermissive and p.polcmd = '*'
       and (select array_agg(oid) from pg_roles where rolname = any (%(callers)s)) <@ p.polroles
 where n.nspname = any (%(exposed)s) and c.relkind in ('r', 'p')
 group by 1
having count(p.oid) <> 1;

-- name: policy-calls-per-row
-- PostgreSQL asks `(select f())` once a statement, f() once a row; `in (select …)` is asked once a row as well.
select tablename_ as object, 'policy ' || polname || ' calls a function or asks a query for every row: ' || left(rest, 200) as message
  from (
    select n.nspname || '.' || c.relname as tablename_, p.polname,
           regexp_replace(
               coalesce(pg_get_expr(p.polqual, p.polrelid), '') || ' ' || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), ''),
               '\( SELECT ([a-z_]+\.)?\w+\([^()]*\) AS \w+\)', '', 'g') as rest
      from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = any (%(ours)s)) as policies
 where rest ~ '(\mSELECT\M|\mcurrent_setting\(|\m(app|auth)\.\w+\(|\mCURRENT_USER\M|\mSESSION_USER\M)';

-- name: policy-always-true
select n.nspname || '.' || c.relname as object,
       'policy ' || p.polname || ' lets ' || string_agg(coalesce(r.rolname, 'everybody'), ', ' order by r.rolname)
           || ' write any row' as message
  from pg_policy p
  join pg_class c on c.oid = p.polrelid
  join pg_namespace n on n.oid = c.relnamespace
  cross join unnest(p.polroles) as u (oid)
  left join pg_roles r on r.oid = u.oid
 where n.nspname = any (%(ours)s) and p.polpermissive and p.polcmd <> 'r'
   and not coalesce(r.rolbypassrls or r.rolsuper, false)
   and (pg_get_expr(p.polqual, p.polrelid) = 'true' or pg_get_expr(p.polwithcheck, p.polrelid) = 'true')
 group by 1, p.polname;

-- name: policy-for-everybody
select n.nspname || '.' || c.relname as object, 'policy ' || p.polname || ' is for PUBLIC: name the roles' as message
  from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(ours)s) and 0 = any (p.polroles);

-- name: policies-overlap
-- Each permissive policy of a role and command is asked for every row.
select n.nspname || '.' || c.relname as object,
       count(*) || ' permissive policies for ' || r.rolname || ' on ' || command.name || ': '
           || string_agg(p.polname, ', ' order by p.polname) as message
  from pg_policy p
  join pg_class c on c.oid = p.polrelid
  join pg_namespace n on n.oid = c.relnamespace
  join (values ('r', 'select'), ('a', 'insert'), ('w', 'update'), ('d', 'delete')) as command (letter, name)
       on p.polcmd in (command.letter::"char", '*')
  join pg_roles r on r.oid = any (p.polroles)
 where n.nspname = any (%(ours)s) and p.polpermissive
 group by n.nspname, c.relname, r.rolname, command.name
having count(*) > 1;

-- name: policy-trusts-user-metadata
select n.nspname || '.' || c.relname as object,
       'policy ' || p.polname || ' asks for user metadata, which the person may change' as message
  from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
 where coalesce(pg_get_expr(p.polqual, p.polrelid), '') || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')
       ~ 'user_meta_?data';

-- name: helper-not-stable
select distinct f.pronamespace::regnamespace || '.' || f.proname as object,
       'is asked by policies and is VOLATILE: it would run for every row' as message
  from pg_depend d join pg_proc f on f.oid = d.refobjid
 where d.classid = 'pg_policy'::regclass and d.refclassid = 'pg_proc'::regclass and f.provolatile = 'v';

-- name: key-without-tenant
-- A table that others name as their tenant leads with its own key.
select n.nspname || '.' || c.relname as object, 'its primary key does not lead with the tenant but with ' || a.attname as message
  from pg_index x
  join pg_class c on c.oid = x.indrelid
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum = x.indkey[0]
 where n.nspname = any (%(exposed)s) and x.indisprimary and a.attname <> all (%(tenant_columns)s)
   and not exists (
       select from pg_constraint k
         join pg_attribute t on t.attrelid = k.conrelid and t.attnum = k.conkey[1]
        where k.confrelid = c.oid and k.contype = 'f' and cardinality(k.conkey) = 1 and t.attname = any (%(tenant_columns)s));

-- name: index-without-tenant
select n.nspname || '.' || i.relname as object,
       'an index of ' || c.relname || ' that leads with ' || coalesce(a.attname, 'an expression') || ', not with the tenant' as message
  from pg_index x
  join pg_class c on c.oid = x.indrelid
  join pg_class i on i.oid = x.indexrelid
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_attribute a on a.attrelid = c.oid and a.attnum = x.indkey[0] and a.attnum > 0
 where n.nspname = any (%(exposed)s) and not x.indisprimary and not x.indisunique
   and coalesce(a.attname, '') <> all (%(tenant_columns)s);

-- name: unique-without-tenant
select n.nspname || '.' || i.relname as object,
       'is unique over all tenants: a refusal tells what another one has' as message
  from pg_index x
  join pg_class c on c.oid = x.indrelid
  join pg_class i on i.oid = x.indexrelid
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(exposed)s) and x.indisunique and not x.indisprimary
   and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum = any (x.indkey)
                                                and a.attname = any (%(tenant_columns)s));

-- name: foreign-key-without-tenant
select n.nspname || '.' || c.relname as object,
       'foreign key ' || k.conname || ' does not carry the tenant: whether it holds tells what another one has' as message
  from pg_constraint k
  join pg_class c on c.oid = k.conrelid
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(exposed)s) and k.contype = 'f'
   and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum = any (k.conkey)
                                                and a.attname = any (%(tenant_columns)s));

-- name: foreign-key-without-index
-- An index whose first columns are those of the key, in any order; partial ones if they leave out only NULLs.
select n.nspname || '.' || c.relname as object, 'no index serves foreign key ' || k.conname as message
  from pg_constraint k
  join pg_class c on c.oid = k.conrelid
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(ours)s) and k.contype = 'f' and not c.relispartition
   and not exists (
       select from pg_index x
        where x.indrelid = c.oid and x.indisvalid
          and (x.indpred is null or pg_get_expr(x.indpred, c.oid) ~ '^\(\w+ IS NOT NULL\)$')
          and (select array_agg(attnum order by attnum)
                 from unnest(x.indkey::int2[]) with ordinality as u (attnum, place)
                where place <= cardinality(k.conkey))
              = (select array_agg(attnum order by attnum) from unnest(k.conkey) as attnum));

-- name: index-twice
select n.nspname || '.' || c.relname as object,
       string_agg(i.relname, ' and ' order by i.relname) || ' index the same' as message
  from pg_index x
  join pg_class c on c.oid = x.indrelid
  join pg_class i on i.oid = x.indexrelid
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(ours)s) and not c.relispartition
 group by n.nspname, c.relname, x.indrelid, x.indkey::text, x.indclass::text, x.indcollation::text, x.indoption::text,
          pg_get_expr(x.indexprs, x.indrelid), pg_get_expr(x.indpred, x.indrelid), i.relam
having count(*) > 1;

-- name: tenant-can-be-updated
select n.nspname || '.' || c.relname as object,
       r.rolname || ' may update ' || string_agg(a.attname, ', ' order by a.attnum) || ': a row could change its tenant or key' as message
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attnotnull
  join pg_roles r on r.rolname = any (%(callers)s) and has_column_privilege(r.oid, c.oid, a.attnum, 'update')
 where n.nspname = any (%(exposed)s) and c.relkind in ('r', 'p')
   and (a.attname = any (%(tenant_columns)s)
        or exists (select from pg_index x where x.indrelid = c.oid and x.indisprimary and a.attnum = any (x.indkey)))
 group by 1, r.rolname;

-- name: random-key
select n.nspname || '.' || c.relname as object, 'its keys are made by ' || pg_get_expr(d.adbin, d.adrelid) || ' and do not sort by time' as message
  from pg_index x
  join pg_class c on c.oid = x.indrelid
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attrdef d on d.adrelid = c.oid and d.adnum = any (x.indkey)
 where n.nspname = any (%(exposed)s) and x.indisprimary and pg_get_expr(d.adbin, d.adrelid) ~ '(gen_random_uuid|uuid_generate_v4)';

-- name: right-that-policies-do-not-bound
select n.nspname || '.' || c.relname as object,
       r.rolname || ' may ' || string_agg(lower(p.name), ', ' order by p.name) || ', which no policy bounds' as message
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  cross join unnest(array['TRUNCATE', 'REFERENCES', 'TRIGGER']) as p (name)
  join pg_roles r on r.rolname = any (%(callers)s || array['service_role']) and has_table_privilege(r.oid, c.oid, p.name)
 where n.nspname = any (%(ours)s) and c.relkind in ('r', 'p')
 group by 1, r.rolname;

-- name: granted-to-anonymous
select n.nspname || '.' || c.relname as object, 'who is not signed in may use it' as message
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(ours)s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
   and exists (select from pg_roles r where r.rolname = 'anon' and (
           has_table_privilege(r.oid, c.oid, 'select, insert, update, delete')
           or has_any_column_privilege(r.oid, c.oid, 'select, insert, update')));

-- name: granted-to-everybody
select n.nspname || '.' || c.relname as object, 'PUBLIC has rights on it: ' || string_agg(lower(g.privilege_type), ', ') as message
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  cross join aclexplode(c.relacl) as g
 where n.nspname = any (%(ours)s) and g.grantee = 0
 group by 1;

-- name: sensitive-column-readable
select n.nspname || '.' || c.relname || '.' || a.attname as object,
       'looks like a secret, and ' || string_agg(r.rolname, ', ' order by r.rolname) || ' may read it' as message
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  join pg_roles r on r.rolname = any (%(callers)s) and has_schema_privilege(r.oid, n.oid, 'usage')
       and has_column_privilege(r.oid, c.oid, a.attnum, 'select')
 where n.nspname = any (%(ours)s) and c.relkind in ('r', 'p', 'v', 'm')
   and a.attname ~ '(password|passwd|secret|token|_hash$|private_key|api_key|card_number|cvv|iban|passport)'
 group by 1;

-- name: view-of-its-owner
select n.nspname || '.' || c.relname as object, 'reads as its owner, past the caller''s policies' as message
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(exposed)s) and c.relkind = 'v'
   and not coalesce(c.reloptions, '{}') && array['security_invoker=true', 'security_invoker=on', 'security_invoker=1'];

-- name: accounts-in-a-view
select distinct n.nspname || '.' || v.relname as object, 'shows auth.users in a schema that the data API shows' as message
  from pg_rewrite w
  join pg_class v on v.oid = w.ev_class
  join pg_namespace n on n.oid = v.relnamespace
  join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
 where n.nspname = any (%(exposed)s) and v.relkind in ('v', 'm') and d.refobjid = to_regclass('auth.users');

-- name: materialised-view-in-api
select n.nspname || '.' || c.relname as object, 'a materialised view has no policies' as message
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(exposed)s) and c.relkind = 'm';

-- name: foreign-table-in-api
select n.nspname || '.' || c.relname as object, 'a foreign table has no policies' as message
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(exposed)s) and c.relkind = 'f';

-- name: extension-in-api
select e.extname::text as object, 'is installed in ' || n.nspname || ', which the data API shows' as message
  from pg_extension e join pg_namespace n on n.oid = e.extnamespace
 where n.nspname = any (%(exposed)s);

-- name: search-path-open
select p.oid::regprocedure::text as object, 'takes the caller''s search_path: who may make a table there decides what it reads' as message
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
 where n.nspname = any (%(ours)s) and p.prokind in ('f', 'p')
   and not exists (select from unnest(p.proconfig) as setting where setting ~ '^search_path=')
   and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e');

-- name: executable-by-everybody
select p.oid::regprocedure::text as object, 'PUBLIC may execute it' as message
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as g
 where n.nspname = any (%(ours)s) and g.grantee = 0
   and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e');

-- name: definer-in-api
select p.oid::regprocedure::text as object,
       'runs as its owner, and ' || string_agg(r.rolname, ', ' order by r.rolname) || ' may call it by the data API' as message
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  join pg_roles r on r.rolname = any (%(callers)s) and has_function_privilege(r.oid, p.oid, 'execute')
 where n.nspname = any (%(exposed)s) and p.prosecdef and p.prorettype <> 'trigger'::regtype
 group by 1;

-- name: no-touch-trigger
select n.nspname || '.' || c.relname as object, 'has updated_at, and no trigger sets it' as message
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attname = 'updated_at' and not a.attisdropped
 where n.nspname = any (array(select unnest(%(exposed)s::text[]) union select 'auth')) and c.relkind in ('r', 'p')
   and not exists (select from pg_trigger t join pg_proc p on p.oid = t.tgfoid
                    where t.tgrelid = c.oid and p.proname = 'touch' and t.tgenabled in ('O', 'A'));

-- name: no-audit-trigger
-- Once there is an audit: each table's inserts, updates and deletes are in it.
select n.nspname || '.' || c.relname as object, 'its changes are not audited' as message
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (array(select unnest(%(exposed)s::text[]) union select 'auth')) and c.relkind in ('r', 'p')
   and to_regproc('audit.record') is not null
   and not exists (select from pg_trigger t
                    where t.tgrelid = c.oid and t.tgfoid = to_regproc('audit.record') and t.tgenabled in ('O', 'A'));

-- name: no-comment
select object, message from (
    select n.nspname || '.' || c.relname as object, 'has no comment that says what a row is' as message
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = any (%(ours)s) and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
       and obj_description(c.oid, 'pg_class') is null
    union all
    select p.oid::regprocedure::text, 'has no comment that says what it gives or does'
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname = any (%(ours)s) and p.prokind in ('f', 'p') and obj_description(p.oid, 'pg_proc') is null
    union all
    select n.nspname, 'has no comment that says what it is for'
      from pg_namespace n where n.nspname = any (%(ours)s) and obj_description(n.oid, 'pg_namespace') is null
) as silent;

-- name: column-hinders-upgrade
-- pg_upgrade refuses columns that hold the number of an object (PostgreSQL manual, pg_upgrade, notes).
select n.nspname || '.' || c.relname || '.' || a.attname as object, 'is of type ' || format_type(a.atttypid, null) || ', which pg_upgrade refuses' as message
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid
  join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(ours)s) and c.relkind in ('r', 'p') and not c.relispartition and not a.attisdropped
   and a.atttypid = any (array['regproc', 'regprocedure', 'regoper', 'regoperator', 'regconfig', 'regdictionary',
                               'regnamespace', 'regcollation']::regtype[]);
