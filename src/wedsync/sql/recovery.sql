-- name: replay_position
-- How far replay is. The pause state may only be asked for during recovery.
select pg_is_in_recovery() as in_recovery,
       case when pg_is_in_recovery() then pg_get_wal_replay_pause_state() = 'paused' else false end as paused,
       pg_last_xact_replay_timestamp() as at,
       pg_last_wal_replay_lsn()::text as lsn;

-- name: promote
select pg_promote(false);

-- name: mark_present
-- A named place in the WAL that undo goes back to, and the segment it is in.
with point as (select pg_create_restore_point(%(name)s) as lsn)
select lsn::text, pg_walfile_name(lsn) as segment, clock_timestamp() as at from point;

-- name: commit_now
-- A commit after every moment that anybody could have asked for: recovery by time needs one to stop at.
select pg_current_xact_id()::text;

-- name: commit_here
-- Commits of this session wait for nobody who receives WAL.
set synchronous_commit = local;

-- name: switch_wal
-- Begin a new segment; the one that ends goes to the archive.
select (select system_identifier::text from pg_control_system()) as system_id,
       pg_walfile_name(pg_switch_wal()) as segment;

-- name: archiver
select last_archived_wal, last_failed_wal, last_failed_time, last_archived_time from pg_stat_archiver;

-- name: present_segment
-- The segment that the server writes to: its name begins with the timeline.
select pg_walfile_name(pg_current_wal_insert_lsn());
