-- name: create_roles
-- The roles of the platform. Attributes are set again each time: what was changed by hand comes back.
do $$
declare
    wanted record;
begin
    for wanted in
        select * from (values
            ('anon',            'nologin noinherit'),
            ('authenticated',   'nologin noinherit'),
            ('service_role',    'nologin noinherit bypassrls'),
            ('wedsync_owner',   'login inherit bypassrls'),
            ('wedsync_monitor', 'login inherit'),
            ('wedsync_backup',  'login inherit bypassrls'),
            ('wedsync_gateway', 'login noinherit')
        ) as role (name, attributes)
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = wanted.name) then
            execute format('create role %I', wanted.name);
        end if;
        execute format('alter role %I %s nosuperuser nocreatedb nocreaterole noreplication',
                       wanted.name, wanted.attributes);
    end loop;
end
$$;

-- name: grant_memberships
-- Source: PostgreSQL manual, 22.5 (predefined roles). The gateway inherits nothing: it must SET ROLE.
grant anon, authenticated, service_role to wedsync_gateway;
grant pg_monitor to wedsync_monitor;
grant pg_read_all_settings, pg_read_all_stats, pg_checkpoint to wedsync_backup;
grant pg_checkpoint, pg_monitor, pg_signal_backend to wedsync_owner;

-- name: grant_functions
-- In each database where they are called: what pgBackRest calls, and the owner's restore points.
grant execute on function pg_catalog.pg_backup_start(text, boolean) to wedsync_backup;
grant execute on function pg_catalog.pg_backup_stop(boolean) to wedsync_backup;
grant execute on function pg_catalog.pg_switch_wal() to wedsync_backup, wedsync_owner;
grant execute on function pg_catalog.pg_create_restore_point(text) to wedsync_backup, wedsync_owner;

-- name: create_schemas
create extension if not exists pg_stat_statements;
create schema if not exists ops authorization wedsync_owner;
create schema if not exists auth authorization wedsync_owner;
create schema if not exists audit authorization wedsync_owner;

-- name: database_exists
select exists (select from pg_catalog.pg_database where datname = %(name)s);

-- name: password_verifiers
select rolname, coalesce(rolpassword, '') from pg_catalog.pg_authid where rolname = any(%(roles)s);
