-- name: clients
-- Sessions of others: while there are some, a preview is in use.
select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid();
