-- name: ping
select 1;

-- name: summary
-- What the functions of 0013 say, in one question. Lag: the slowest standby, or this standby's own. Source:
-- PostgreSQL manual, 28.2.4 (pg_stat_replication), 9.27.4 (recovery information).
select public.get_connection_stats() as connections,
       public.get_performance_stats() as performance,
       public.get_database_size() as size,
       public.get_last_backup_time() as backup,
       case when not pg_is_in_recovery()
                then (select extract(epoch from max(replay_lag)) * 1000 from pg_stat_replication)
            when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
            else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000
       end::float8 as lag_ms;

-- name: table_sizes
select table_name, size_mb::float8 as size_mb, row_count from public.get_table_sizes();
