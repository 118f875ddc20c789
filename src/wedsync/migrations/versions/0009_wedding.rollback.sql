-- Lost: kinds of core fields, diets by requirement, who works at which event, tasks with their evidence, the order,
-- places and photographers of photo groups. Core field values stay.
revoke update on public.households, public.guests, public.timeline_events, public.photo_groups,
    public.photo_group_members, public.core_field_values from authenticated;
grant update on public.households, public.guests, public.timeline_events, public.photo_groups,
    public.photo_group_members, public.core_field_values to authenticated;
drop table public.photographer_assignments;
drop table public.photo_group_dependencies;
drop function app.refuse_circle();
alter table public.photo_groups drop column photo_location_id;
drop table public.photo_locations;
drop table public.task_evidence;
drop table public.task_helpers;
drop table public.tasks;
drop function app.guard_task();
drop function app.my_tasks();
drop table public.timeline_event_suppliers;
drop table public.guest_dietary;
comment on column public.core_field_values.updated_by is null;
comment on column public.core_field_values.version is 'Rises with each change; an update that names the version it saw loses no other edit.';
drop trigger keep_version on public.core_field_values;
drop trigger check_value on public.core_field_values;
drop function app.check_core_field();
drop function app.fits_core_field(public.core_field_definitions, jsonb);
drop function app.is_date(text);
drop index public.core_field_values_by_definition;
alter table public.core_field_values drop constraint core_field_values_definition;
drop table public.core_field_definitions;
