-- name: place
-- Where WAL is received from: no row while the server is in recovery. Sources: pg_stat_archiver,
-- pg_replication_slots, and the setting that is there while the second region is given up. Asked by a role with
-- REPLICATION and no further right.
select ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int as timeline,
       (select last_archived_wal from pg_stat_archiver where last_archived_wal ~ '^[0-9A-F]{24}$') as last_archived,
       nullif(current_setting('wedsync.region_lacks_from', true), '') as lacks_from,
       (select wal_status from pg_replication_slots where slot_name = %(slot)s) as slot_status
 where not pg_is_in_recovery();

-- name: drop_slot
select pg_drop_replication_slot(%(slot)s);

-- name: sight
-- How far the server is, the archive, and who receives; no row while it is in recovery. What is not marked as
-- waiting for the archive, and is older than the present segment, is in it; while the second region is given up, only
-- what that had until then counts. It is the checkpointer that lets commits
-- wait, and in the middle of its work it does not hear of a changed setting.
select clock_timestamp() as at,
       pg_current_wal_flush_lsn()::text as flushed,
       case when current_setting('track_commit_timestamp') = 'on'
            then (select timestamp from pg_last_committed_xact()) end as last_commit_at,
       pg_walfile_name(pg_current_wal_insert_lsn()) as segment,
       (select min(left(name, 24)) from pg_ls_archive_statusdir() where name ~ '^[0-9A-F]{24}\.ready$') as unarchived,
       nullif(current_setting('wedsync.region_lacks_from', true), '') as lacks_from,
       coalesce(receiver.state = 'streaming', false) as receives,
       receiver.flush_lsn::text as received,
       extract(epoch from receiver.flush_lag)::float8 as receive_lag_s,
       slot.restart_lsn::text as slot_lsn,
       slot.wal_status as slot_status,
       (pg_current_wal_insert_lsn() - slot.restart_lsn)::bigint as slot_bytes,
       coalesce(receiver.sync_state in ('sync', 'quorum'), false)
         and exists (select from pg_stat_activity where backend_type = 'checkpointer'
                        and wait_event in ('CheckpointerMain', 'CheckpointWriteDelay')) as is_sync
  from (select) as always
  left join pg_stat_replication as receiver on receiver.application_name = %(name)s
  left join pg_replication_slots as slot on slot.slot_name = %(name)s
 where not pg_is_in_recovery()
 order by receives desc
 limit 1;
