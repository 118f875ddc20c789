drop table public.core_field_values;
drop table public.photo_group_members;
drop table public.photo_groups;
drop table public.timeline_events;
