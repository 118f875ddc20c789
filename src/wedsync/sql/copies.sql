-- name: clients
-- Sessions of others: while there are some, a preview is in use.
select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid();

-- name: tables_held
-- Whether the replay holds a table for a transaction whose commit lies behind the moment.
select exists (select from pg_locks l join pg_stat_activity a on a.pid = l.pid and a.backend_type = 'startup'
                where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.granted);

-- name: only_read
alter system set default_transaction_read_only = on;

-- name: take_settings
select pg_reload_conf();
