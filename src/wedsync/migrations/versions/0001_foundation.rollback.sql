-- The schemas auth, ops and audit stay: the cluster brought them, and ops holds the ledger.
drop table if exists ops.heartbeat;
drop function auth.role();
drop function auth.uid();
drop function auth.jwt();
drop function app.touch();
drop function app.is_time_zone(text);
drop function app.uuid_v7();
alter default privileges grant execute on functions to public;
revoke usage on schema ops from service_role, wedsync_backup, wedsync_monitor;
revoke usage on schema auth, public from anon, authenticated, service_role;
drop schema app;
