drop function
    public.get_connection_stats(), public.get_performance_stats(),
    public.get_slow_queries(double precision, integer), public.get_table_sizes(), public.get_index_usage(),
    public.get_unused_indexes(), public.get_database_size(), public.get_last_backup_time(),
    public.analyze_table(text), public.vacuum_analyze_table(text), public.reindex_table(text),
    public.update_table_statistics(text), public.execute_migration(text, text), public.get_job(integer);
drop view public.system_health_log, public.backup_verification_log, public.maintenance_log;
drop function
    ops.leads_with(int2vector, smallint[]), ops.take_sample(), ops.keep_sample(ops.samples), ops.counters(), ops.statements_since(),
    ops.statement_statistics(boolean), ops.statements_unknown_because(), ops.queue_job(text, text, jsonb),
    ops.log_maintenance(text, text, text, integer, jsonb, text), ops.shown_query(text),
    ops.shown_table(name, name), ops.maintained_table(text), ops.caller();
drop table
    ops.routines, ops.samples, ops.backups, ops.backup_verification_log, ops.system_health_log,
    ops.maintenance_log, ops.jobs;
