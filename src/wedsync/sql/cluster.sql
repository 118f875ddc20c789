-- name: grant_memberships
-- Source: PostgreSQL manual, 22.5 (predefined roles). The gateway inherits nothing: it must SET ROLE.
grant anon, authenticated, service_role to wedsync_gateway;
grant pg_monitor to wedsync_monitor;
grant pg_read_all_settings, pg_read_all_stats, pg_checkpoint to wedsync_backup;
grant pg_checkpoint, pg_monitor, pg_signal_backend to wedsync_owner;
-- Autovacuum gives up its lock to who has waited for deadlock_timeout: a migration waits for less, and lowers it.
grant set on parameter deadlock_timeout to wedsync_owner;

-- name: grant_functions
-- In each database where they are called: what pgBackRest calls, and the owner's restore points.
grant execute on function pg_catalog.pg_backup_start(text, boolean) to wedsync_backup;
grant execute on function pg_catalog.pg_backup_stop(boolean) to wedsync_backup;
grant execute on function pg_catalog.pg_switch_wal() to wedsync_backup, wedsync_owner;
grant execute on function pg_catalog.pg_create_restore_point(text) to wedsync_backup, wedsync_owner;

-- name: create_schemas
-- Extensions are in a schema that the data API does not show and application roles may not use.
create schema if not exists extensions;
comment on schema extensions is 'What extensions bring; not shown by the data API.';
alter schema extensions owner to wedsync_owner;
create extension if not exists pg_stat_statements schema extensions;
alter extension pg_stat_statements set schema extensions;
grant usage on schema extensions to wedsync_monitor;
-- To remove the index of a TOAST table that a REINDEX CONCURRENTLY left half-built, its owner has to find it.
grant usage on schema pg_toast to wedsync_owner;
-- All callers of the data API share a role: one's large object would be everybody's.
revoke execute on function pg_catalog.lo_create(oid), pg_catalog.lo_creat(integer),
    pg_catalog.lo_from_bytea(oid, bytea) from public;
create schema if not exists ops authorization wedsync_owner;
create schema if not exists auth authorization wedsync_owner;
create schema if not exists audit authorization wedsync_owner;

-- name: platform_roles
select rolname::text from pg_catalog.pg_roles where rolname = any(%(names)s);

-- name: database_exists
select exists (select from pg_catalog.pg_database where datname = %(name)s);

-- name: password_verifiers
select rolname, coalesce(rolpassword, '') from pg_catalog.pg_authid where rolname = any(%(roles)s);

-- name: facts
-- One row about server and role. Rights that a managed service took away are false, not an error.
select current_setting('server_version_num')::int as version,
       version() as version_text,
       current_user::text as role,
       r.rolsuper as superuser,
       r.rolreplication as replication,
       r.rolbypassrls as bypass_rls,
       pg_is_in_recovery() as in_recovery,
       has_database_privilege(current_database(), 'create') as may_create_schemas,
       coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as tls,
       coalesce((select version from pg_stat_ssl where pid = pg_backend_pid()), '') as tls_version,
       clock_timestamp() as now
  from pg_roles r
 where r.rolname = current_user;

-- name: visible_settings
-- Settings that this role may see; some need pg_read_all_settings (PostgreSQL manual, 54.24).
select name, setting from pg_settings where name = any(%(names)s);

-- name: predefined_roles
select rolname::text from pg_roles
 where rolname = any(%(names)s) and pg_has_role(oid, 'usage');

-- name: callable_functions
-- Signatures that exist here and that this role may call.
select signature from unnest(%(signatures)s::text[]) signature
 where to_regprocedure(signature) is not null
   and has_function_privilege(to_regprocedure(signature), 'execute');

-- name: extensions
select name::text, installed_version is not null as installed
  from pg_available_extensions where name = any(%(names)s);
