-- name: say_who
-- Shown in pg_stat_activity while the statement runs.
select set_config('application_name', left('wedsync api: ' || %(who)s, 63), false);

-- name: analyze_table
select public.analyze_table(%(table)s) as answer;

-- name: reindex_table
select public.reindex_table(%(table)s) as answer;

-- name: vacuum_analyze
select public.vacuum_analyze_table(%(table)s) as answer;

-- name: update_statistics
select public.update_table_statistics(%(table)s) as answer;

-- name: get_job
select public.get_job(%(job)s) as answer;
