drop function
    public.detect_advanced_conflicts(uuid), public.maintain_photo_groups_database(),
    public.verify_photo_groups_backup_integrity(), public.get_photo_groups_performance_stats(),
    public.photo_groups_health_check();
drop view public.photo_groups_performance_summary;
drop trigger count_added on public.photo_groups;
drop trigger count_changed on public.photo_groups;
drop trigger count_removed on public.photo_groups;
drop trigger count_truncated on public.photo_groups;
delete from ops.routines where name = 'watch_photo_groups';
delete from ops.system_health_log where service = 'photo_groups_db';
drop function
    ops.photo_group_faults(), ops.group_members_are_enforced(), ops.orphaned_group_members(), ops.photo_group_tables(),
    ops.photo_group_query_type(text), ops.watch_photo_groups(), ops.judge_photo_groups(integer, integer, numeric),
    ops.photo_group_drift(), ops.fold_photo_group_changes(), ops.count_photo_groups(), ops.photo_group_numbers();
drop table ops.photo_group_activity, ops.photo_group_totals, ops.photo_group_changes;
