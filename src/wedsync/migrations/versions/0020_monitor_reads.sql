-- depends: 0013_operations
-- The role that looks on may ask the questions it looks on with; until now only service_role could.

grant execute on function
    public.get_connection_stats(), public.get_performance_stats(), public.get_table_sizes(),
    public.get_database_size(), public.get_last_backup_time()
    to wedsync_monitor;
