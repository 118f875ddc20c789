-- name: live_cluster
-- Who this cluster is, on which timeline it writes; no row while it is in recovery (then it writes none).
select system_identifier::text as system_id,
       ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int as timeline
  from pg_control_system()
 where not pg_is_in_recovery();

-- name: archived_tail
-- What the archiver was last told to be archived, and when. Source: pg_stat_archiver.
select last_archived_wal, last_archived_time from pg_stat_archiver where last_archived_wal is not null;

-- name: create_heartbeat
create table if not exists ops.heartbeat (
    id smallint primary key check (id = 1),
    beat_at timestamptz not null
) with (fillfactor = 10);

-- name: next_transaction
-- The next transaction id: it moves with every transaction that writes, and with nothing else.
select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next_transaction
 where not pg_is_in_recovery();

-- name: beat
-- One small commit. It must not wait for a standby: that would stop the window, not the loss.
with local as (select set_config('synchronous_commit', 'local', true))
insert into ops.heartbeat as own (id, beat_at)
select 1, clock_timestamp() from local
on conflict (id) do update set beat_at = excluded.beat_at
returning own.beat_at;

-- name: after_beat
select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next_transaction,
       pg_current_wal_insert_lsn()::text as lsn,
       ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int as timeline;

-- name: has_mirror
-- Whether this is a primary that carries the tables of 0013_operations.
select to_regclass('ops.backups') is not null and not pg_is_in_recovery();

-- name: mirrored_backups
select repo, label, damaged from ops.backups;

-- name: forget_backup
delete from ops.backups where repo = %(repo)s and label = %(label)s;

-- name: mirror_backup
insert into ops.backups (repo, label, kind, started_at, finished_at, database_bytes, repo_bytes, damaged)
values (%(repo)s, %(label)s, %(kind)s, %(started_at)s, %(finished_at)s, %(database_bytes)s, %(repo_bytes)s, %(damaged)s)
on conflict (repo, label) do update set damaged = excluded.damaged, mirrored_at = clock_timestamp();

-- name: mirrored_verifications
select "timestamp" from ops.backup_verification_log where service = 'backups' and "timestamp" >= %(since)s;

-- name: mirror_verification
insert into ops.backup_verification_log (service, status, details, "timestamp")
values ('backups', %(status)s, %(details)s, %(at)s)
on conflict (service, "timestamp") do nothing;

-- name: mirrored_drills
select "timestamp" from ops.backup_verification_log where service = 'drills' and "timestamp" >= %(since)s;

-- name: mirror_drill
insert into ops.backup_verification_log (service, status, details, "timestamp")
values ('drills', %(status)s, %(details)s, %(at)s)
on conflict (service, "timestamp") do nothing;

-- name: primary_wal
-- Where this primary writes, which segments of its timeline are finished and still here, and how much waits to be archived.
-- A place between two segments counts to the later one; pg_walfile_name() names the earlier (manual, 9.27.4).
with here as (
    select pg_walfile_name(pg_current_wal_lsn() + 1) as current_segment, pg_current_wal_lsn()::text as lsn
)
select here.current_segment, here.lsn, control.system_identifier::text as system_id,
       coalesce((select jsonb_object_agg(name, extract(epoch from modification))
                   from pg_ls_waldir()
                  where name ~ '^[0-9A-F]{24}$' and left(name, 8) = left(here.current_segment, 8)
                    and name < here.current_segment), '{}') as finished,
       queue.waiting, queue.unarchived
  from here, pg_control_system() as control,
       (select count(*) as waiting, min(left(name, 24)) as unarchived
          from pg_ls_archive_statusdir() where name ~ '^[0-9A-F]{24}[.]ready$') as queue
 where not pg_is_in_recovery();
