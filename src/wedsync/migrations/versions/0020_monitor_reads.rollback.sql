-- The role that looks on asks nothing of these any more.
revoke execute on function
    public.get_connection_stats(), public.get_performance_stats(), public.get_table_sizes(),
    public.get_database_size(), public.get_last_backup_time()
    from wedsync_monitor;
