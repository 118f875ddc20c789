-- What the data API has to know of a database. Each statement gives a set of plain rows; what follows from them (views'
-- keys, relationships, junctions) is worked out in `database/catalogue`. Rights are not looked at: who may do
-- what is the database's business at each request. All run in one read-only snapshot with an empty search path,
-- so that every name outside pg_catalog comes with its schema.
-- Parameters: schemas (exposed), search_path (schemas that statements see besides).

-- name: begin
-- The fingerprint is of the same snapshot as the rows. Functions such as format_type() look past it at the newest
-- state: the fingerprint is then older than what was read, and the next question for it finds a difference.
begin isolation level repeatable read read only;

-- name: prepare
-- Whether a view can be written to is the one question that locks what it is asked about.
select set_config('search_path', '', true), set_config('statement_timeout', %(statement_timeout)s, true),
       set_config('lock_timeout', %(lock_timeout)s, true),
       set_config('work_mem', '64MB', true), set_config('jit', 'off', true);

-- name: server
select current_setting('server_version_num')::int as version_num,
       exists (select from pg_catalog.pg_extension where extname = 'postgis') as has_postgis;

-- name: missing_schemas
select wanted.name
  from unnest(%(schemas)s::text[]) with ordinality as wanted (name, place)
 where not exists (select from pg_catalog.pg_namespace n where n.nspname = wanted.name)
 order by wanted.place;

-- name: time_zones
select name from pg_catalog.pg_timezone_names;

-- name: fingerprint
-- A number that changes with every change of the catalogue's rows that concern the exposed schemas: each row is known
-- by its transaction (xmin). Views, functions and types of other schemas count too where statements see them.
with seen as (
    select oid from pg_catalog.pg_namespace where nspname = any (%(schemas)s::text[] || %(search_path)s::text[])
),
relations as (
    select c.oid, c.xmin from pg_catalog.pg_class c
     where c.relnamespace in (select oid from seen) and c.relkind in ('r', 'p', 'v', 'm', 'f')
),
facts (oid, part, xmin) as (
    select oid, 0, xmin from relations
    union all
    select a.attrelid, a.attnum, a.xmin from pg_catalog.pg_attribute a
      join relations r on r.oid = a.attrelid where a.attnum > 0
    union all
    select w.oid, 0, w.xmin from pg_catalog.pg_rewrite w join relations r on r.oid = w.ev_class
    union all
    select d.oid, 0, d.xmin from pg_catalog.pg_attrdef d join relations r on r.oid = d.adrelid
    union all
    select t.oid, 0, t.xmin from pg_catalog.pg_trigger t
      join relations r on r.oid = t.tgrelid where not t.tgisinternal
    union all
    select oid, 0, xmin from pg_catalog.pg_constraint where contype in ('p', 'u', 'f')
    union all
    select oid, 0, xmin from pg_catalog.pg_proc where pronamespace in (select oid from seen)
    union all
    select oid, 0, xmin from pg_catalog.pg_type where typnamespace in (select oid from seen)
    union all
    select oid, 0, xmin from pg_catalog.pg_enum
    union all
    select oid, 0, xmin from pg_catalog.pg_namespace
    union all
    select objoid, objsubid, xmin from pg_catalog.pg_description
     where classoid in ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass,
                        'pg_catalog.pg_namespace'::regclass)
       and objoid >= 16384
)
select count(*) || ':' || coalesce(bit_xor(hashint8extended(oid::bigint << 16 | part, xmin::text::bigint)), 0) as fingerprint
  from facts;

-- name: schemas
select n.nspname as name, pg_catalog.obj_description(n.oid, 'pg_namespace') as description
  from pg_catalog.pg_namespace n
 where n.nspname = any (%(schemas)s);

-- name: tables
-- `events` are PostgreSQL's (1 << CmdType): 4 update, 8 insert, 16 delete; INSTEAD OF triggers of views count.
-- Partitions are not shown: their parent is.
select c.oid::bigint as oid, n.nspname as schema, c.relname as name, c.relkind::text as kind,
       case when c.relkind in ('r', 'p') then 28
            when c.relkind in ('v', 'f') then pg_catalog.pg_relation_is_updatable(c.oid, true)
            else 0 end as events,
       pg_catalog.obj_description(c.oid, 'pg_class') as description
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any (%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
 order by n.nspname, c.relname;

-- name: columns
with recursive below (oid, type) as (
    select oid, typbasetype from pg_catalog.pg_type where typtype = 'd'
    union all
    select b.oid, t.typbasetype from below b join pg_catalog.pg_type t on t.oid = b.type and t.typtype = 'd'
),
base (oid, type) as (
    select b.oid, b.type from below b join pg_catalog.pg_type t on t.oid = b.type and t.typtype <> 'd'
)
select a.attrelid::bigint as relation, a.attnum::int as number, a.attname as name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) as type,
       pg_catalog.format_type(t.oid, null) as base_type,
       not (a.attnotnull or own.typtype = 'd' and own.typnotnull) as nullable,
       case when a.attgenerated <> '' then null
            when a.attidentity = 'd' then (
                select format('nextval(%%L)', s.objid::regclass) from pg_catalog.pg_depend s
                 where s.classid = 'pg_catalog.pg_class'::regclass and s.deptype = 'i'
                   and s.refclassid = 'pg_catalog.pg_class'::regclass
                   and s.refobjid = a.attrelid and s.refobjsubid = a.attnum limit 1)
            when d.adbin is not null then pg_catalog.pg_get_expr(d.adbin, d.adrelid)
            when own.typtype = 'd' then pg_catalog.pg_get_expr(own.typdefaultbin, 0) end as "default",
       a.attgenerated <> '' or a.attidentity = 'a' as is_generated,
       case when a.atttypid in ('pg_catalog.varchar'::regtype, 'pg_catalog.bpchar'::regtype)
            then nullif(greatest(a.atttypmod, 3), 3) - 4
            when own.typtype = 'd' and own.typbasetype in ('pg_catalog.varchar'::regtype, 'pg_catalog.bpchar'::regtype)
            then nullif(greatest(own.typtypmod, 3), 3) - 4
            when a.atttypid in ('pg_catalog.bit'::regtype, 'pg_catalog.varbit'::regtype)
            then nullif(a.atttypmod, -1) end as max_length,
       case when t.typtype = 'e' then (select array_agg(e.enumlabel order by e.enumsortorder)
                                         from pg_catalog.pg_enum e where e.enumtypid = t.oid) end as enum,
       said.description
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_class c on c.oid = a.attrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_type own on own.oid = a.atttypid
  left join base b on b.oid = a.atttypid
  join pg_catalog.pg_type t on t.oid = coalesce(b.type, a.atttypid)
  left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  left join pg_catalog.pg_description said
         on said.classoid = 'pg_catalog.pg_class'::regclass and said.objoid = a.attrelid and said.objsubid = a.attnum
 where n.nspname = any (%(schemas)s) and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
   and a.attnum > 0 and not a.attisdropped;

-- name: keys
-- Primary keys, unique keys and foreign keys of the whole database: a view of an exposed schema may stand on any table.
-- A key that a partition has from its parent is the parent's.
select k.oid::bigint as oid, k.contype::text as kind, k.conname as name,
       k.conrelid::bigint as relation, n.nspname as schema, c.relname as table_name,
       k.conkey::int[] as columns,
       array(select a.attname::text from pg_catalog.pg_attribute a
              where a.attrelid = k.conrelid and a.attnum = any (k.conkey)
              order by array_position(k.conkey, a.attnum)) as column_names,
       k.confrelid::bigint as other, other_n.nspname as other_schema, other_c.relname as other_name,
       coalesce(k.confkey, '{}')::int[] as other_columns,
       array(select a.attname::text from pg_catalog.pg_attribute a
              where a.attrelid = k.confrelid and a.attnum = any (k.confkey)
              order by array_position(k.confkey, a.attnum)) as other_column_names
  from pg_catalog.pg_constraint k
  join pg_catalog.pg_class c on c.oid = k.conrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  left join pg_catalog.pg_class other_c on other_c.oid = k.confrelid
  left join pg_catalog.pg_namespace other_n on other_n.oid = other_c.relnamespace
 where k.contype in ('p', 'u', 'f') and k.conparentid = 0
   and n.nspname not in ('pg_catalog', 'information_schema')
 order by k.conrelid, k.conname;

-- name: views
-- The parsed definition of each view says from which column of which table (or view) each of its columns comes.
select c.oid::bigint as relation, n.nspname = any (%(schemas)s) as exposed, r.ev_action::text as definition
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_rewrite r on r.ev_class = c.oid and r.rulename = '_RETURN'
 where c.relkind in ('v', 'm') and n.nspname = any (%(schemas)s::text[] || %(search_path)s::text[]);

-- name: functions
-- What can be called with named arguments, or with one unnamed argument that takes the whole body.
with recursive below (oid, type) as (
    select oid, typbasetype from pg_catalog.pg_type where typtype = 'd'
    union all
    select b.oid, t.typbasetype from below b join pg_catalog.pg_type t on t.oid = b.type and t.typtype = 'd'
),
base (oid, type) as (
    select b.oid, b.type from below b join pg_catalog.pg_type t on t.oid = b.type and t.typtype <> 'd'
)
select p.oid::bigint as oid, n.nspname as schema, p.proname as name,
       arguments.names, arguments.types, arguments.variadic,
       p.pronargdefaults::int as optional,
       p.proretset as returns_set,
       p.prorettype = 'pg_catalog.void'::regtype as returns_void,
       pg_catalog.format_type(p.prorettype, null) as return_type,
       t.typtype = 'c' or coalesce(p.proargmodes && '{t,b,o}'::"char"[], false) as returns_composite,
       relation_n.nspname as table_schema, relation.relname as table_name,
       p.provolatile::text as volatility,
       p.prorows as rows,
       p.proconfig as settings,
       pg_catalog.obj_description(p.oid, 'pg_proc') as description
  from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  left join base b on b.oid = p.prorettype
  join pg_catalog.pg_type t on t.oid = coalesce(b.type, p.prorettype)
  left join pg_catalog.pg_class relation on relation.oid = t.typrelid and relation.relkind in ('r', 'p', 'v', 'm', 'f')
  left join pg_catalog.pg_namespace relation_n on relation_n.oid = relation.relnamespace
 cross join lateral (
    select coalesce(array_agg(coalesce(argument.name, '') order by argument.place), '{}') as names,
           coalesce(array_agg(pg_catalog.format_type(argument.type, null) order by argument.place), '{}') as types,
           coalesce(bool_or(argument.mode = 'v'), false) as variadic
      from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames, p.proargmodes)
           with ordinality as argument (type, name, mode, place)
     where argument.type is not null and coalesce(argument.mode, 'i') in ('i', 'b', 'v')
 ) arguments
 where n.nspname = any (%(schemas)s) and p.prokind = 'f'
   and p.prorettype not in ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype)
 order by n.nspname, p.proname, p.oid;

-- name: row_functions
-- Functions of one row of a table or view: computed fields, and where they give rows, computed relationships.
select n.nspname as schema, p.proname as name,
       source_n.nspname as table_schema, source.relname as table_name,
       target_n.nspname as target_schema, target.relname as target_name,
       p.proretset as returns_set, p.prorows as rows,
       pg_catalog.format_type(p.prorettype, null) as return_type,
       t.typtype = 'c' or coalesce(p.proargmodes && '{t,b,o}'::"char"[], false) as returns_composite,
       pg_catalog.format_type(p.proargtypes[0], null) as argument_type,
       p.provolatile::text as volatility,
       pg_catalog.obj_description(p.oid, 'pg_proc') as description
  from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_type argument on argument.oid = p.proargtypes[0]
  join pg_catalog.pg_class source on source.oid = argument.typrelid and source.relkind in ('r', 'p', 'v', 'm', 'f')
  join pg_catalog.pg_namespace source_n on source_n.oid = source.relnamespace
  join pg_catalog.pg_type t on t.oid = p.prorettype
  left join pg_catalog.pg_class target on target.oid = t.typrelid and target.relkind in ('r', 'p', 'v', 'm', 'f')
  left join pg_catalog.pg_namespace target_n on target_n.oid = target.relnamespace
 where p.pronargs = 1 and p.prokind = 'f'
   and n.nspname = any (%(schemas)s::text[] || %(search_path)s::text[])
   and source_n.nspname = any (%(schemas)s)
 order by n.nspname, p.proname, p.oid;

-- name: media_handlers
-- A domain that is named like a media type marks what makes it: an aggregate over rows of a table (or of any), or a
-- function that gives it.
with media_type as (
    select t.oid, lower(t.typname) as name, n.nspname as schema, t.typname
      from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
     where t.typtype = 'd' and (t.typname ~* '^[a-z0-9.-]+/[a-z0-9.+-]+$' or t.typname = '*/*')
)
select n.nspname as handler_schema, p.proname as handler_name, m.name as media_type,
       target_n.nspname as target_schema, target.typname as target_name
  from media_type m
  join pg_catalog.pg_proc p on p.prorettype = m.oid and p.prokind = 'a' and p.pronargs = 1
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_type target on target.oid = p.proargtypes[0]
  join pg_catalog.pg_namespace target_n on target_n.oid = target.typnamespace
 where n.nspname = any (%(schemas)s)
   and (target.typtype = 'c' or target.oid = 'pg_catalog.anyelement'::regtype)
 union
select m.schema, m.typname, m.name, n.nspname, p.proname
  from media_type m
  join pg_catalog.pg_proc p on p.prorettype = m.oid and p.prokind = 'f' and not p.proretset
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
 where n.nspname = any (%(schemas)s)
 order by 4, 5, 3;
