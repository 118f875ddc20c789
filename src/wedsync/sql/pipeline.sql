-- name: session
-- What a new connection is: the process that serves it (behind a pooler not the one that libpq was told of).
select pg_catalog.pg_backend_pid() as backend_pid,
       pg_catalog.current_setting('server_version_num')::int as server_version;

-- name: login_role
-- The role that was signed in with, and what it could do without becoming another one. Source: pg_roles.
select rolname as name, rolinherit as inherits, rolsuper as is_superuser, rolbypassrls as bypasses_rls
  from pg_catalog.pg_roles
 where rolname = session_user;

-- name: roles_taken
-- Which of the roles exist, and which of them the signed-in role may take.
select wanted.name,
       role.oid is not null as exists,
       coalesce(pg_catalog.pg_has_role(session_user, role.oid, 'member'), false) as may_be_taken
  from pg_catalog.unnest(%(roles)s::text[]) as wanted (name)
  left join pg_catalog.pg_roles as role on role.rolname = wanted.name;

-- name: replay
-- Whether the server is in recovery, of when its state is, and whether it has paused at its target.
-- Only one branch asks for the pause: outside recovery that is an error.
select pg_catalog.pg_is_in_recovery() as in_recovery,
       pg_catalog.to_char(pg_catalog.pg_last_xact_replay_timestamp() at time zone 'UTC',
                          'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as as_of,
       case when pg_catalog.pg_is_in_recovery()
            then pg_catalog.pg_get_wal_replay_pause_state() = 'paused' end as at_target;

-- name: waits_for
-- What a backend of ours waits for. Source: pg_stat_activity.
select wait_event from pg_catalog.pg_stat_activity where pid = $1;
