-- name: steady_session
-- For one transaction: what deparsed expressions look like must not hang on who asks (as pg_dump does it).
select set_config('search_path', '', true), set_config('datestyle', 'ISO, DMY', true),
       set_config('intervalstyle', 'postgres', true), set_config('timezone', 'UTC', true),
       set_config('extra_float_digits', '3', true), set_config('bytea_output', 'hex', true),
       set_config('quote_all_identifiers', 'off', true);

-- name: catalogue
-- One row for each object of this database: what it is, the relation it belongs to, and every fact about it
-- that SQL can set. No oids, no file names, no sizes, no rows; a dropped column leaves no trace. Members of
-- an extension are the extension's business; their grants are here where somebody changed them.
-- Sources: the system catalogues (PostgreSQL manual, chapter 53).
with member as materialized (
    select classid, objid from pg_depend where deptype = 'e'
), ns as materialized (
    select n.oid, n.nspname, n.nspowner, n.nspacl from pg_namespace n
     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
       and ('pg_namespace'::regclass, n.oid) not in (table member)
), rel as materialized (
    select c.*, c.oid::regclass::text as name
      from pg_class c
     where c.relnamespace in (select oid from pg_namespace
                               where nspname !~ '^pg_' and nspname <> 'information_schema')
       and ('pg_class'::regclass, c.oid) not in (table member)
), object (kind, name, relation, owner, acl_kind, acl, classid, objid, objsubid, facts) as (

    select 'schema', quote_ident(n.nspname), null, n.nspowner, 'n', n.nspacl,
           'pg_namespace'::regclass, n.oid, 0, '{}'::jsonb
      from ns n

    union all
    select case r.relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
                          when 'm' then 'materialized view' when 'f' then 'foreign table'
                          when 'c' then 'composite type' end,
           r.name, r.name, r.relowner, case when r.relkind = 'c' then 'T' else 'r' end,
           case when r.relkind = 'c' then (select typacl from pg_type where oid = r.reltype) else r.relacl end,
           case when r.relkind = 'c' then 'pg_type'::regclass else 'pg_class'::regclass end,
           case when r.relkind = 'c' then r.reltype else r.oid end, 0,
           jsonb_build_object(
               'unlogged', nullif(r.relpersistence = 'u', false),
               'row level security', nullif(r.relrowsecurity, false),
               'row level security forced', nullif(r.relforcerowsecurity, false),
               'options', (select jsonb_agg(o order by o) from unnest(r.reloptions) o),
               'toast options', (select jsonb_agg(o order by o) from pg_class t, unnest(t.reloptions) o
                                  where t.oid = r.reltoastrelid),
               'access method', (select amname from pg_am where oid = r.relam),
               'tablespace', (select spcname from pg_tablespace where oid = r.reltablespace),
               'replica identity', nullif(r.relreplident, 'd'),
               'of type', nullif(r.reloftype, 0)::regtype::text,
               'parents', (select jsonb_agg(i.inhparent::regclass::text order by i.inhseqno)
                             from pg_inherits i where i.inhrelid = r.oid),
               'partition of', case when r.relispartition then pg_get_expr(r.relpartbound, r.oid) end,
               'partitioned by', case when r.relkind = 'p' then pg_get_partkeydef(r.oid) end,
               'definition', case when r.relkind in ('v', 'm') then pg_get_viewdef(r.oid) end,
               'server', (select s.srvname from pg_foreign_table f
                            join pg_foreign_server s on s.oid = f.ftserver where f.ftrelid = r.oid),
               'server options', (select jsonb_agg(o order by o) from pg_foreign_table f,
                                   unnest(f.ftoptions) o where f.ftrelid = r.oid))
      from rel r
     where r.relkind in ('r', 'p', 'v', 'm', 'f', 'c')

    union all
    select 'sequence', r.name, coalesce(d.refobjid::regclass::text, r.name), r.relowner, 's', r.relacl,
           'pg_class'::regclass, r.oid, 0,
           jsonb_build_object(
               'type', s.seqtypid::regtype::text, 'start', s.seqstart, 'minimum', s.seqmin, 'maximum', s.seqmax,
               'increment', s.seqincrement, 'cache', s.seqcache, 'cycle', nullif(s.seqcycle, false),
               'unlogged', nullif(r.relpersistence = 'u', false),
               'owned by', d.refobjid::regclass::text || '.' || quote_ident(a.attname))
      from rel r
      join pg_sequence s on s.seqrelid = r.oid
      left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = r.oid
            and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
      left join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid

    union all
    select 'column', r.name || '.' || quote_ident(a.attname), r.name, r.relowner, 'c', a.attacl,
           'pg_class'::regclass, r.oid, a.attnum::int,
           jsonb_build_object(
               'position', row_number() over (partition by r.oid order by a.attnum),
               'type', format_type(a.atttypid, a.atttypmod),
               'not null', nullif(a.attnotnull, false),
               'default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
               'generated', case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid) end,
               'identity', case a.attidentity when 'a' then 'always' when 'd' then 'by default' end,
               'collation', case when a.attcollation <> t.typcollation
                                 then nullif(a.attcollation, 0)::regcollation::text end,
               'storage', case when a.attstorage <> t.typstorage then a.attstorage end,
               'compression', nullif(a.attcompression, ''),
               'statistics', nullif(a.attstattarget, -1),
               'options', (select jsonb_agg(o order by o) from unnest(a.attoptions) o),
               'server options', (select jsonb_agg(o order by o) from unnest(a.attfdwoptions) o),
               'inherited', nullif(a.attinhcount > 0, false))
      from rel r
      join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
      join pg_type t on t.oid = a.atttypid
      left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where r.relkind in ('r', 'p', 'v', 'm', 'f', 'c')

    union all
    -- The keys of partitions follow from their parents' keys, with names that the server makes up.
    select 'constraint', coalesce(r.name, c.contypid::regtype::text) || '.' || quote_ident(c.conname), r.name,
           null, null, null, 'pg_constraint'::regclass, c.oid, 0,
           jsonb_build_object(
               'definition', pg_get_constraintdef(c.oid),
               'not validated', nullif(not c.convalidated, false),
               'not enforced', nullif(exists (select from pg_trigger g
                   where g.tgconstraint = c.oid and g.tgisinternal and g.tgenabled <> 'O'), false))
      from pg_constraint c
      left join rel r on r.oid = c.conrelid
     where (r.oid is not null
            or c.contypid in (select oid from pg_type where typnamespace in (select oid from ns)))
       and c.contype <> 't' and not (c.contype = 'f' and c.conparentid <> 0)

    union all
    select 'index', r.name, i.indrelid::regclass::text, null, null, null, 'pg_class'::regclass, r.oid, 0,
           jsonb_build_object(
               'definition', pg_get_indexdef(r.oid),
               'invalid', nullif(not (i.indisvalid and i.indisready), false),
               'clustered', nullif(i.indisclustered, false),
               'replica identity', nullif(i.indisreplident, false),
               'tablespace', (select spcname from pg_tablespace where oid = r.reltablespace),
               'statistics', (select jsonb_object_agg(a.attnum, a.attstattarget) from pg_attribute a
                               where a.attrelid = r.oid and a.attstattarget >= 0),
               'parents', (select jsonb_agg(h.inhparent::regclass::text) from pg_inherits h
                            where h.inhrelid = r.oid))
      from rel r
      join pg_index i on i.indexrelid = r.oid

    union all
    select case p.prokind when 'f' then 'function' when 'p' then 'procedure' when 'a' then 'aggregate'
                          when 'w' then 'window function' end,
           p.oid::regprocedure::text, null, p.proowner, 'f', p.proacl,
           'pg_proc'::regclass, p.oid, 0,
           jsonb_build_object(
               'arguments', pg_get_function_arguments(p.oid),
               'result', pg_get_function_result(p.oid),
               'language', l.lanname,
               'source', coalesce(pg_get_function_sqlbody(p.oid), p.prosrc),
               'library', p.probin,
               'security definer', nullif(p.prosecdef, false),
               'leakproof', nullif(p.proleakproof, false),
               'strict', nullif(p.proisstrict, false),
               'volatility', case p.provolatile when 'i' then 'immutable' when 's' then 'stable'
                                               else 'volatile' end,
               'parallel', case p.proparallel when 's' then 'safe' when 'r' then 'restricted' else 'unsafe' end,
               'cost', p.procost, 'rows', p.prorows,
               'support', nullif(p.prosupport::oid, 0)::regproc::text,
               'settings', to_jsonb(p.proconfig),
               'aggregate', (select jsonb_build_array(g.aggkind, g.aggtransfn::text, g.aggfinalfn::text,
                                g.aggcombinefn::text, g.aggserialfn::text, g.aggdeserialfn::text,
                                g.aggmtransfn::text, g.aggminvtransfn::text, g.aggmfinalfn::text,
                                g.aggsortop::regoperator::text,
                                g.aggtranstype::regtype::text, g.aggmtranstype::regtype::text, g.agginitval,
                                g.aggminitval)
                               from pg_aggregate g where g.aggfnoid = p.oid))
      from pg_proc p
      join pg_language l on l.oid = p.prolang
     where p.pronamespace in (select oid from ns)
       and ('pg_proc'::regclass, p.oid) not in (table member)

    union all
    select 'trigger', r.name || '.' || quote_ident(g.tgname), r.name, null, null, null,
           'pg_trigger'::regclass, g.oid, 0,
           jsonb_build_object(
               'definition', pg_get_triggerdef(g.oid),
               'enabled', case g.tgenabled when 'D' then 'never' when 'R' then 'on a replica'
                                           when 'A' then 'always' end)
      from pg_trigger g
      join rel r on r.oid = g.tgrelid
     where not g.tgisinternal

    union all
    select 'policy', r.name || '.' || quote_ident(p.polname), r.name, null, null, null,
           'pg_policy'::regclass, p.oid, 0,
           jsonb_build_object(
               'command', case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
                                        when 'd' then 'delete' else 'all' end,
               'restrictive', nullif(not p.polpermissive, false),
               'roles', (select jsonb_agg(x order by x) from (
                   select case o when 0 then 'public' else o::regrole::text end from unnest(p.polroles) o) y (x)),
               'using', pg_get_expr(p.polqual, p.polrelid),
               'with check', pg_get_expr(p.polwithcheck, p.polrelid))
      from pg_policy p
      join rel r on r.oid = p.polrelid

    union all
    select 'rule', r.name || '.' || quote_ident(w.rulename), r.name, null, null, null,
           'pg_rewrite'::regclass, w.oid, 0,
           jsonb_build_object('definition', pg_get_ruledef(w.oid), 'enabled', nullif(w.ev_enabled, 'O'))
      from pg_rewrite w
      join rel r on r.oid = w.ev_class
     where w.rulename <> '_RETURN'

    union all
    select 'statistics', quote_ident(n.nspname) || '.' || quote_ident(s.stxname), s.stxrelid::regclass::text,
           s.stxowner, null, null, 'pg_statistic_ext'::regclass, s.oid, 0,
           jsonb_build_object('definition', pg_get_statisticsobjdef(s.oid), 'target', nullif(s.stxstattarget, -1))
      from pg_statistic_ext s
      join ns n on n.oid = s.stxnamespace

    union all
    select case t.typtype when 'e' then 'enum' when 'd' then 'domain' when 'r' then 'range' else 'type' end,
           t.oid::regtype::text, null, t.typowner, 'T', t.typacl, 'pg_type'::regclass, t.oid, 0,
           jsonb_build_object(
               'labels', (select jsonb_agg(e.enumlabel order by e.enumsortorder) from pg_enum e
                           where e.enumtypid = t.oid),
               'base', case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end,
               'not null', nullif(t.typnotnull, false),
               'default', t.typdefault,
               'collation', case when t.typtype = 'd' then nullif(t.typcollation, 0)::regcollation::text end,
               'range', (select jsonb_build_array(g.rngsubtype::regtype::text, g.rngmultitypid::regtype::text,
                                nullif(g.rngcollation, 0)::regcollation::text, g.rngcanonical::text,
                                g.rngsubdiff::text,
                                (select opcname from pg_opclass where oid = g.rngsubopc))
                           from pg_range g where g.rngtypid = t.oid),
               'functions', case when t.typtype = 'b' then jsonb_build_array(t.typinput::text, t.typoutput::text,
                                t.typreceive::text, t.typsend::text, t.typlen, t.typalign, t.typstorage) end)
      from pg_type t
     where t.typnamespace in (select oid from ns) and t.typtype in ('e', 'd', 'r', 'b')
       and not (t.typtype = 'b' and t.typelem <> 0 and t.typlen = -1)   -- made with its element type
       and ('pg_type'::regclass, t.oid) not in (table member)

    union all
    select 'collation', c.oid::regcollation::text, null, c.collowner, null, null,
           'pg_collation'::regclass, c.oid, 0,
           to_jsonb(c) - '{oid,collname,collnamespace,collowner,collversion}'::text[]
      from pg_collation c
     where c.collnamespace in (select oid from ns)
       and ('pg_collation'::regclass, c.oid) not in (table member)

    union all
    select 'operator', o.oid::regoperator::text, null, o.oprowner, null, null,
           'pg_operator'::regclass, o.oid, 0,
           jsonb_build_object('function', o.oprcode::text, 'result', o.oprresult::regtype::text,
               'commutator', nullif(o.oprcom, 0)::regoperator::text,
               'negator', nullif(o.oprnegate, 0)::regoperator::text, 'restrict', o.oprrest::text,
               'join', o.oprjoin::text, 'merges', o.oprcanmerge, 'hashes', o.oprcanhash)
      from pg_operator o
     where o.oprnamespace in (select oid from ns)
       and ('pg_operator'::regclass, o.oid) not in (table member)

    union all
    select 'operator class', format('%I.%I using %s', n.nspname, c.opcname, a.amname), null, c.opcowner, null,
           null, 'pg_opclass'::regclass, c.oid, 0,
           jsonb_build_object(
               'type', c.opcintype::regtype::text, 'default', c.opcdefault,
               'key', nullif(c.opckeytype, 0)::regtype::text,
               'operators', (select jsonb_agg(x order by x) from (
                   select format('%s %s', amopstrategy, amopopr::regoperator) from pg_amop
                    where amopfamily = c.opcfamily) y (x)),
               'functions', (select jsonb_agg(x order by x) from (
                   select format('%s %s', amprocnum, amproc::regprocedure) from pg_amproc
                    where amprocfamily = c.opcfamily) y (x)))
      from pg_opclass c
      join ns n on n.oid = c.opcnamespace
      join pg_am a on a.oid = c.opcmethod
     where ('pg_opclass'::regclass, c.oid) not in (table member)

    union all
    -- Casts, and those languages that no extension brought, have no schema: built-in ones have low numbers.
    select 'cast', c.castsource::regtype::text || ' as ' || c.casttarget::regtype::text, null, null, null, null,
           'pg_cast'::regclass, c.oid, 0,
           jsonb_build_object('function', nullif(c.castfunc, 0)::regprocedure::text, 'context', c.castcontext,
               'method', c.castmethod)
      from pg_cast c
     where c.oid >= 16384
       and ('pg_cast'::regclass, c.oid) not in (table member)

    union all
    select 'language', quote_ident(l.lanname), null, l.lanowner, 'l', l.lanacl,
           'pg_language'::regclass, l.oid, 0,
           jsonb_build_object('trusted', l.lanpltrusted, 'handler', nullif(l.lanplcallfoid, 0)::regprocedure::text)
      from pg_language l
     where l.oid >= 16384
       and ('pg_language'::regclass, l.oid) not in (table member)

    union all
    select 'text search configuration', c.oid::regconfig::text, null, c.cfgowner, null, null,
           'pg_ts_config'::regclass, c.oid, 0,
           jsonb_build_object(
               'parser', (select prsname from pg_ts_parser where oid = c.cfgparser),
               'mapping', (select jsonb_agg(format('%s %s', p.maptokentype, p.mapdict::regdictionary)
                                            order by p.maptokentype, p.mapseqno)
                             from pg_ts_config_map p where p.mapcfg = c.oid))
      from pg_ts_config c
     where c.cfgnamespace in (select oid from ns)
       and ('pg_ts_config'::regclass, c.oid) not in (table member)

    union all
    select 'text search dictionary', d.oid::regdictionary::text, null, d.dictowner, null, null,
           'pg_ts_dict'::regclass, d.oid, 0,
           jsonb_build_object('template', (select tmplname from pg_ts_template where oid = d.dicttemplate),
               'options', d.dictinitoption)
      from pg_ts_dict d
     where d.dictnamespace in (select oid from ns)
       and ('pg_ts_dict'::regclass, d.oid) not in (table member)

    union all
    select 'foreign data wrapper', quote_ident(w.fdwname), null, w.fdwowner, 'F', w.fdwacl,
           'pg_foreign_data_wrapper'::regclass, w.oid, 0,
           jsonb_build_object('handler', nullif(w.fdwhandler, 0)::regproc::text,
               'validator', nullif(w.fdwvalidator, 0)::regproc::text,
               'options', (select jsonb_agg(o order by o) from unnest(w.fdwoptions) o))
      from pg_foreign_data_wrapper w
     where ('pg_foreign_data_wrapper'::regclass, w.oid) not in (table member)

    union all
    select 'foreign server', quote_ident(s.srvname), null, s.srvowner, 'S', s.srvacl,
           'pg_foreign_server'::regclass, s.oid, 0,
           jsonb_build_object('wrapper', (select fdwname from pg_foreign_data_wrapper where oid = s.srvfdw),
               'type', s.srvtype, 'version', s.srvversion,
               'options', (select jsonb_agg(o order by o) from unnest(s.srvoptions) o))
      from pg_foreign_server s

    union all
    select 'extension', quote_ident(e.extname), null, e.extowner, null, null, 'pg_extension'::regclass, e.oid, 0,
           jsonb_build_object('version', e.extversion, 'schema', e.extnamespace::regnamespace::text)
      from pg_extension e

    union all
    select 'event trigger', quote_ident(t.evtname), null, t.evtowner, null, null,
           'pg_event_trigger'::regclass, t.oid, 0,
           jsonb_build_object('event', t.evtevent, 'function', t.evtfoid::regprocedure::text,
               'tags', (select jsonb_agg(x order by x) from unnest(t.evttags) x),
               'enabled', case t.evtenabled when 'D' then 'never' when 'R' then 'on a replica'
                                            when 'A' then 'always' end)
      from pg_event_trigger t
     where ('pg_event_trigger'::regclass, t.oid) not in (table member)

    union all
    select 'publication', quote_ident(p.pubname), null, p.pubowner, null, null,
           'pg_publication'::regclass, p.oid, 0,
           jsonb_build_object('all tables', p.puballtables, 'insert', p.pubinsert, 'update', p.pubupdate,
               'delete', p.pubdelete, 'truncate', p.pubtruncate, 'via root', p.pubviaroot,
               'schemas', (select jsonb_agg(s.pnnspid::regnamespace::text order by s.pnnspid::regnamespace::text)
                             from pg_publication_namespace s where s.pnpubid = p.oid),
               'tables', (select jsonb_object_agg(t.prrelid::regclass::text, jsonb_build_object(
                                  'where', pg_get_expr(t.prqual, t.prrelid),
                                  'columns', (select jsonb_agg(a.attname order by a.attname)
                                                from unnest(t.prattrs::int2[]) k
                                                join pg_attribute a on a.attrelid = t.prrelid and a.attnum = k)))
                            from pg_publication_rel t where t.prpubid = p.oid))
      from pg_publication p

    union all
    select 'default privileges',
           format('%s on %s', d.defaclrole::regrole,
                  case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
                       when 'T' then 'types' when 'n' then 'schemas' else d.defaclobjtype::text end)
               || coalesce(' in ' || nullif(d.defaclnamespace, 0)::regnamespace::text, ''),
           null, d.defaclrole, 'given', d.defaclacl, 'pg_default_acl'::regclass, d.oid, 0, '{}'::jsonb
      from pg_default_acl d

    union all
    -- What the server and the extensions bring, where its grants are not the ones it came with.
    select 'grants on', x.name, null, null, 'given', x.acl, 'pg_init_privs'::regclass, null::oid, null::int,
           '{}'::jsonb
      from (
        select 'function ' || p.oid::regprocedure::text as name, p.proacl as acl, p.proowner as owner,
               'f'::"char" as acl_kind, 'pg_proc'::regclass as classid, p.oid as objid, 0 as objsubid
          from pg_proc p
         where p.proacl is not null and p.pronamespace <> 'information_schema'::regnamespace
           and (p.pronamespace not in (select oid from ns)
                or ('pg_proc'::regclass, p.oid) in (table member))
        union all
        select 'relation ' || c.oid::regclass::text, c.relacl, c.relowner,
               case c.relkind when 'S' then 's' else 'r' end::"char", 'pg_class'::regclass, c.oid, 0
          from pg_class c
         where c.relacl is not null and c.relpersistence <> 't'
           and c.relnamespace <> 'information_schema'::regnamespace   -- initdb notes nothing about that one
           and not exists (select from rel r where r.oid = c.oid)
      ) x
      left join pg_init_privs i
             on i.classoid = x.classid and i.objoid = x.objid and i.objsubid = x.objsubid
     where (select array_agg(a::text order by a::text) from unnest(x.acl) a) is distinct from
           (select array_agg(a::text order by a::text)
              from unnest(coalesce(i.initprivs, acldefault(x.acl_kind, x.owner))) a)
)
select o.kind, o.name, o.relation,
       jsonb_strip_nulls(o.facts || jsonb_build_object(
           'owner', case when o.acl_kind is distinct from 'c' then o.owner::regrole::text end,
           -- NULL means the default of the kind: written out, so that it equals the same grants made by hand.
           'grants', (select jsonb_object_agg(g.grantee, g.privileges) from (
               select case a.grantee when 0 then 'public' else a.grantee::regrole::text end as grantee,
                      jsonb_agg(a.privilege_type || case when a.is_grantable then ' with grant option' else '' end
                                || case when a.grantor <> o.owner then ' by ' || a.grantor::regrole else '' end
                                order by a.privilege_type, a.grantor::regrole::text) as privileges
                 from aclexplode(case when o.acl_kind = 'given' then o.acl when o.acl_kind is not null
                          then coalesce(o.acl, acldefault(o.acl_kind::"char", o.owner)) end) a
                group by a.grantee) g),
           'comment', d.description))::text as facts
  from object o
  left join pg_description d
         on d.classoid = o.classid and d.objoid = o.objid and d.objsubid = o.objsubid
 order by o.kind collate "C", o.name collate "C";
