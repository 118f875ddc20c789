-- name: login_facts
-- What the gateway has to know of the role it signs in as. Source: pg_roles, pg_has_role().
select current_setting('server_version_num')::integer as version_num,
       current_user::text as login,
       coalesce((select array_agg(given order by given)
                   from unnest(%(schemas)s::text[]) as given
                  where not exists (select from pg_namespace where nspname = given)), '{}') as missing_schemas,
       %(anon)s::text is null or exists (select from pg_roles where rolname = %(anon)s) as anon_exists,
       %(anon)s::text is null or coalesce((select pg_has_role(current_user, oid, 'MEMBER')
                                             from pg_roles where rolname = %(anon)s), false) as may_be_anon,
       (select rolsuper from pg_roles where rolname = current_user) as is_superuser,
       (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user) as connection_limit,
       current_setting('max_connections')::integer as max_connections,
       pg_is_in_recovery() as is_standby;
