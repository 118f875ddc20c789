-- depends: 0008_work
-- What a wedding plans: core fields with types and versions, diets, who works at which event, tasks and their
-- helpers, the order of photo groups, where they are taken and by whom.

-- Core fields -----------------------------------------------------------------------------------------
-- lint: allow table-without-tenant-column because definitions are the same for everybody
create table public.core_field_definitions (
    key text primary key check (key ~ '^[a-z][a-z0-9_]{0,62}$'),
    label text not null check (length(label) between 1 and 200),
    kind text not null check (kind in (
        'text', 'integer', 'number', 'boolean', 'date', 'time', 'choice', 'list', 'anything')),
    choices text[] check (cardinality(choices) between 1 and 200),
    minimum numeric,
    maximum numeric,
    description text check (length(description) <= 1000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint core_field_definitions_choices check ((kind = 'choice') = (choices is not null)),
    constraint core_field_definitions_range check (
        (minimum is null and maximum is null) or (kind in ('integer', 'number') and minimum <= maximum))
);
comment on table public.core_field_definitions is 'Which facts a couple tells once, and of what kind they are. The same for everybody.';
comment on column public.core_field_definitions.minimum is 'Of a number; given together with maximum.';

create trigger touch before update on public.core_field_definitions for each row execute function app.touch();

alter table public.core_field_definitions enable row level security;
alter table public.core_field_definitions force row level security;
-- Nobody's rows: whoever is signed in reads them, the platform writes them.
create policy tenant on public.core_field_definitions as restrictive to anon, authenticated
    using ((select auth.uid()) is not null);
create policy read on public.core_field_definitions for select to authenticated
    using ((select auth.uid()) is not null);
create policy service on public.core_field_definitions to service_role using (true) with check (true);
grant select on public.core_field_definitions to authenticated;
grant select, insert, update, delete on public.core_field_definitions to service_role;

insert into public.core_field_definitions (key, label, kind, minimum, maximum) values
    ('guest_count', 'Number of guests', 'integer', 0, 5000),
    ('wedding_date', 'Date of the wedding', 'date', null, null),
    ('ceremony_time', 'Time of the ceremony', 'time', null, null),
    ('ceremony_venue', 'Where the ceremony is', 'text', null, null),
    ('reception_venue', 'Where the reception is', 'text', null, null),
    ('venue_address', 'Address of the venue', 'text', null, null),
    ('time_zone', 'Time zone', 'text', null, null),
    ('colours', 'Colours', 'anything', null, null),
    ('first_dance', 'First dance', 'text', null, null),
    ('bridesmaids', 'Number of bridesmaids', 'integer', 0, 100),
    ('dress_code', 'Dress code', 'text', null, null),
    ('plan_for_rain', 'Plan for rain', 'text', null, null),
    ('emergency_contact', 'Whom to call on the day', 'text', null, null),
    ('children_welcome', 'Children are welcome', 'boolean', null, null),
    ('unplugged_ceremony', 'No telephones at the ceremony', 'boolean', null, null);

-- What is there under other names stays as it is.
insert into public.core_field_definitions (key, label, kind)
select distinct field_key, field_key, 'anything' from public.core_field_values
on conflict (key) do nothing;

-- lint: allow constraint-missing-not-valid because core fields are a few rows a wedding: read in milliseconds
alter table public.core_field_values
    add constraint core_field_values_definition
        foreign key (field_key) references public.core_field_definitions (key) on update cascade;
-- For that key alone: a definition that changes or goes looks here who uses it.
-- lint: allow require-concurrent-index-creation because core fields are a few rows a wedding: built in milliseconds
create index core_field_values_by_definition on public.core_field_values (field_key, couple_id);

create function app.is_date(value text) returns boolean
    language plpgsql stable
    set search_path = ''
as $$
begin
    return value ~ '^\d{4}-\d{2}-\d{2}$' and value::date is not null;
exception when datetime_field_overflow or invalid_datetime_format then
    return false;
end
$$;
comment on function app.is_date(text) is 'Whether this is a day of the calendar, as 2026-06-13.';

create function app.fits_core_field(field public.core_field_definitions, value jsonb) returns boolean
    language sql stable
    set search_path = ''
as $$
    select case
        when value = 'null'::jsonb then true   -- known not to be known
        when field.kind = 'anything' then true
        when field.kind in ('integer', 'number') then
            jsonb_typeof(value) = 'number'
            and (field.kind = 'number' or value::numeric = trunc(value::numeric))
            and (field.minimum is null or value::numeric between field.minimum and field.maximum)
        when field.kind = 'boolean' then jsonb_typeof(value) = 'boolean'
        when field.kind = 'list' then jsonb_typeof(value) = 'array'
        when jsonb_typeof(value) <> 'string' then false
        when field.kind = 'date' then app.is_date(value #>> '{}')
        when field.kind = 'time' then (value #>> '{}') ~ '^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$'
        when field.kind = 'choice' then (value #>> '{}') = any (field.choices)
        else true
    end
$$;
comment on function app.fits_core_field(public.core_field_definitions, jsonb) is 'Whether a value is of its field''s kind.';

create function app.check_core_field() returns trigger
    language plpgsql
    set search_path = ''
as $$
declare
    field public.core_field_definitions;
begin
    -- Who wrote it is not the client's to say.
    new.updated_by := coalesce(auth.uid(), new.updated_by);
    select * into field from public.core_field_definitions where key = new.field_key;
    if found and not app.fits_core_field(field, new.value) then
        raise exception 'the core field % holds %, not %', field.key,
            concat_ws(' ', field.kind, '(' || array_to_string(field.choices, ', ') || ')',
                      'from ' || field.minimum || ' to ' || field.maximum),
            left(new.value::text, 100)
            using errcode = '23514', constraint = 'core_field_values_fit';
    end if;
    return new;
end
$$;
comment on function app.check_core_field() is 'Trigger: a value fits its field''s definition, and carries its author.';

grant execute on function app.is_date(text), app.fits_core_field(public.core_field_definitions, jsonb)
    to authenticated, service_role;

create trigger check_value before insert or update on public.core_field_values
    for each row execute function app.check_core_field();
create trigger keep_version before update on public.core_field_values
    for each row execute function app.keep_version();
comment on column public.core_field_values.version is
    'Rises with each change. An update that sets the version it saw is refused (PT409) if that is no longer the newest.';
comment on column public.core_field_values.updated_by is 'The author of this version; earlier ones are in the audit.';

-- Guests' diets ---------------------------------------------------------------------------------------
create table public.guest_dietary (
    couple_id uuid not null,
    guest_id uuid not null,
    requirement text not null check (requirement in (
        'vegetarian', 'vegan', 'pescatarian', 'halal', 'kosher', 'gluten', 'dairy', 'eggs', 'nuts', 'peanuts',
        'fish', 'shellfish', 'soya', 'sesame', 'celery', 'mustard', 'alcohol', 'other')),
    severity text not null default 'preference' check (severity in ('preference', 'intolerance', 'allergy')),
    notes text check (length(notes) <= 1000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, guest_id, requirement),
    foreign key (couple_id, guest_id) references public.guests (couple_id, id) on delete cascade,
    constraint guest_dietary_other check (requirement <> 'other' or notes is not null)
);
comment on table public.guest_dietary is 'What a guest does not eat, so that a kitchen can count it; an allergy is not a wish.';

alter table public.guest_dietary enable row level security;
alter table public.guest_dietary force row level security;
create policy tenant on public.guest_dietary as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
create policy read on public.guest_dietary for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.guest_dietary for insert to authenticated
    with check (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy change on public.guest_dietary for update to authenticated
    using (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy remove on public.guest_dietary for delete to authenticated
    using (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy service on public.guest_dietary to service_role using (true) with check (true);
grant select, insert, delete on public.guest_dietary to authenticated;
grant update (severity, notes) on public.guest_dietary to authenticated;
grant select, insert, update, delete on public.guest_dietary to service_role;

-- Who works when --------------------------------------------------------------------------------------
create table public.timeline_event_suppliers (
    couple_id uuid not null,
    timeline_event_id uuid not null,
    organization_id uuid not null,
    supplier_id uuid not null,
    duty text check (length(duty) <= 500),
    arrives_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, timeline_event_id, organization_id, supplier_id),
    foreign key (couple_id, timeline_event_id) references public.timeline_events (couple_id, id) on delete cascade,
    foreign key (couple_id, organization_id, supplier_id)
        references public.connections (couple_id, organization_id, supplier_id) on delete cascade
);
comment on table public.timeline_event_suppliers is 'Which of the couple''s suppliers works at an event of the day.';
create index timeline_event_suppliers_by_supplier
    on public.timeline_event_suppliers (couple_id, organization_id, supplier_id);

alter table public.timeline_event_suppliers enable row level security;
alter table public.timeline_event_suppliers force row level security;
create policy tenant on public.timeline_event_suppliers as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
create policy read on public.timeline_event_suppliers for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.timeline_event_suppliers for insert to authenticated
    with check (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy change on public.timeline_event_suppliers for update to authenticated
    using (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy remove on public.timeline_event_suppliers for delete to authenticated
    using (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy service on public.timeline_event_suppliers to service_role using (true) with check (true);
grant select, insert, delete on public.timeline_event_suppliers to authenticated;
grant update (duty, arrives_at) on public.timeline_event_suppliers to authenticated;
grant select, insert, update, delete on public.timeline_event_suppliers to service_role;

-- Tasks -----------------------------------------------------------------------------------------------
create table public.tasks (
    couple_id uuid not null references public.couples on delete cascade,
    id uuid not null default app.uuid_v7(),
    title text not null check (length(title) between 1 and 200),
    description text check (length(description) <= 4000),
    due_on date,
    priority smallint not null default 3 check (priority between 1 and 5),
    status text not null default 'open' check (status in ('open', 'doing', 'done', 'dropped')),
    completed_at timestamptz,
    created_by uuid default auth.uid(),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, id),
    constraint tasks_completed check ((status = 'done') = (completed_at is not null))
);
comment on table public.tasks is 'Something to be done for the wedding, by the couple or by helpers.';
create index tasks_by_date on public.tasks (couple_id, due_on);

create table public.task_helpers (
    couple_id uuid not null,
    task_id uuid not null,
    user_id uuid not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, task_id, user_id),
    foreign key (couple_id, task_id) references public.tasks (couple_id, id) on delete cascade,
    foreign key (couple_id, user_id) references public.couple_members (couple_id, user_id) on delete cascade
);
comment on table public.task_helpers is 'Who of the wedding''s people does a task. A helper may finish the tasks given to them.';
create index task_helpers_by_member on public.task_helpers (couple_id, user_id);
-- The policies ask "which are mine".
create index task_helpers_by_user on public.task_helpers (user_id, couple_id, task_id);

create function app.my_tasks() returns text[]
    language sql stable security definer
    set search_path = ''
as $$
    -- Both halves of the key: clients choose ids, so a task of another wedding may have the same one.
    select coalesce(array_agg(couple_id || ' ' || task_id), '{}')
      from public.task_helpers
     where user_id = (select auth.uid())
$$;
comment on function app.my_tasks() is 'Tasks given to the caller, each as `<couple> <task>`.';
grant execute on function app.my_tasks() to authenticated, service_role;

alter table public.tasks enable row level security;
alter table public.tasks force row level security;
create policy tenant on public.tasks as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
create policy read on public.tasks for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.tasks for insert to authenticated
    with check (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy change on public.tasks for update to authenticated
    using (couple_id = any ((select app.my_editable_couples())::uuid[])
        or couple_id || ' ' || id = any ((select app.my_tasks())::text[]));
create policy remove on public.tasks for delete to authenticated
    using (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy service on public.tasks to service_role using (true) with check (true);
grant select, insert, delete on public.tasks to authenticated;
grant update (title, description, due_on, priority, status) on public.tasks to authenticated;
grant select, insert, update, delete on public.tasks to service_role;

create function app.guard_task() returns trigger
    language plpgsql
    set search_path = ''
as $$
begin
    if new.status = 'done' and old.status <> 'done' and new.completed_at is null then
        new.completed_at := clock_timestamp();
    elsif new.status <> 'done' then
        new.completed_at := null;
    end if;
    if auth.uid() is not null and not new.couple_id = any (app.my_editable_couples())
        and (new.title, new.description, new.due_on, new.priority)
            is distinct from (old.title, old.description, old.due_on, old.priority)
    then
        raise exception 'a helper changes a task''s status only' using errcode = '42501',
            hint = 'the couple or its planner changes what is to be done';
    end if;
    return new;
end
$$;
comment on function app.guard_task() is 'Trigger: notes when a task was done; of a helper it takes nothing but the status.';
create trigger guard before update on public.tasks for each row execute function app.guard_task();

alter table public.task_helpers enable row level security;
alter table public.task_helpers force row level security;
create policy tenant on public.task_helpers as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
create policy read on public.task_helpers for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.task_helpers for insert to authenticated
    with check (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy remove on public.task_helpers for delete to authenticated
    using (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy service on public.task_helpers to service_role using (true) with check (true);
grant select, insert, delete on public.task_helpers to authenticated;
grant select, insert, update, delete on public.task_helpers to service_role;

create table public.task_evidence (
    couple_id uuid not null,
    task_id uuid not null,
    id uuid not null default app.uuid_v7(),
    kind text not null default 'note' check (kind in ('note', 'photo', 'file')),
    note text check (length(note) between 1 and 4000),
    file_id uuid,
    added_by uuid default auth.uid(),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, task_id, id),
    foreign key (couple_id, task_id) references public.tasks (couple_id, id) on delete cascade,
    foreign key (couple_id, file_id) references public.files (couple_id, id),
    constraint task_evidence_content check (case when kind = 'note' then note is not null else file_id is not null end)
);
comment on table public.task_evidence is 'What shows that a task is done: a photo of the laid tables, the signed contract.';
create index task_evidence_by_file on public.task_evidence (couple_id, file_id);

alter table public.task_evidence enable row level security;
alter table public.task_evidence force row level security;
create policy tenant on public.task_evidence as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
create policy read on public.task_evidence for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.task_evidence for insert to authenticated
    with check (added_by = (select auth.uid()) and (
        couple_id = any ((select app.my_editable_couples())::uuid[])
        or couple_id || ' ' || task_id = any ((select app.my_tasks())::text[])));
create policy change on public.task_evidence for update to authenticated
    using (added_by = (select auth.uid()) or couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy remove on public.task_evidence for delete to authenticated
    using (added_by = (select auth.uid()) or couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy service on public.task_evidence to service_role using (true) with check (true);
grant select, insert, delete on public.task_evidence to authenticated;
grant update (note) on public.task_evidence to authenticated;
grant select, insert, update, delete on public.task_evidence to service_role;

-- Photo groups: where, in which order, by whom ----------------------------------------------------------
create table public.photo_locations (
    couple_id uuid not null references public.couples on delete cascade,
    id uuid not null default app.uuid_v7(),
    name text not null check (length(name) between 1 and 200),
    address text check (length(address) <= 500),
    latitude numeric(8, 6) check (latitude between -90 and 90),
    longitude numeric(9, 6) check (longitude between -180 and 180),
    is_indoor boolean not null default false,
    walk_minutes integer not null default 0 check (walk_minutes between 0 and 600),
    notes text check (length(notes) <= 2000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, id),
    unique (couple_id, name),
    constraint photo_locations_place check ((latitude is null) = (longitude is null))
);
comment on table public.photo_locations is 'A place where groups are photographed.';
comment on column public.photo_locations.walk_minutes is 'How long a group needs to get there from the ceremony.';

alter table public.photo_locations enable row level security;
alter table public.photo_locations force row level security;
create policy tenant on public.photo_locations as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
create policy read on public.photo_locations for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.photo_locations for insert to authenticated
    with check (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy change on public.photo_locations for update to authenticated
    using (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy remove on public.photo_locations for delete to authenticated
    using (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy service on public.photo_locations to service_role using (true) with check (true);
grant select, insert, delete on public.photo_locations to authenticated;
grant update (name, address, latitude, longitude, is_indoor, walk_minutes, notes) on public.photo_locations to authenticated;
grant select, insert, update, delete on public.photo_locations to service_role;

alter table public.photo_groups add column photo_location_id uuid;
comment on column public.photo_groups.photo_location_id is 'The place, where it is one of the couple''s list; location says it in words.';
-- lint: allow constraint-missing-not-valid because the column is new: NULL in every row
alter table public.photo_groups
    add constraint photo_groups_location foreign key (couple_id, photo_location_id)
        references public.photo_locations (couple_id, id) on delete set null (photo_location_id);
-- lint: allow require-concurrent-index-creation because photo groups are some fifty a wedding: built in milliseconds
create index photo_groups_by_location on public.photo_groups (couple_id, photo_location_id);

create table public.photo_group_dependencies (
    couple_id uuid not null,
    photo_group_id uuid not null,
    depends_on_id uuid not null,
    gap_minutes integer not null default 0 check (gap_minutes between 0 and 240),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, photo_group_id, depends_on_id),
    foreign key (couple_id, photo_group_id) references public.photo_groups (couple_id, id) on delete cascade,
    foreign key (couple_id, depends_on_id) references public.photo_groups (couple_id, id) on delete cascade,
    constraint photo_group_dependencies_other check (photo_group_id <> depends_on_id)
);
comment on table public.photo_group_dependencies is 'A group that can only be taken after another; never in a circle.';
create index photo_group_dependencies_by_group on public.photo_group_dependencies (couple_id, depends_on_id);

alter table public.photo_group_dependencies enable row level security;
alter table public.photo_group_dependencies force row level security;
create policy tenant on public.photo_group_dependencies as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
create policy read on public.photo_group_dependencies for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.photo_group_dependencies for insert to authenticated
    with check (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy change on public.photo_group_dependencies for update to authenticated
    using (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy remove on public.photo_group_dependencies for delete to authenticated
    using (couple_id = any ((select app.my_editable_couples())::uuid[]));
create policy service on public.photo_group_dependencies to service_role using (true) with check (true);
grant select, insert, delete on public.photo_group_dependencies to authenticated;
grant update (gap_minutes) on public.photo_group_dependencies to authenticated;
grant select, insert, update, delete on public.photo_group_dependencies to service_role;

create function app.refuse_circle() returns trigger
    language plpgsql
    set search_path = ''
as $$
begin
    -- One at a time for a wedding: two circles' halves that are added at once would not see each other.
    perform pg_advisory_xact_lock(hashtextextended('photo_group_dependencies ' || new.couple_id::text, 0));
    if exists (
        with recursive before as (
            select new.depends_on_id as id
            union
            select d.depends_on_id
              from before
              join public.photo_group_dependencies d on d.couple_id = new.couple_id and d.photo_group_id = before.id
        )
        select from before where id = new.photo_group_id)
    then
        raise exception 'these photo groups would wait for each other'
            using errcode = '23514', constraint = 'photo_group_dependencies_no_circle',
                  hint = 'one of the groups between them has to go first';
    end if;
    return new;
end
$$;
comment on function app.refuse_circle() is 'Trigger: a photo group does not depend on itself, by however many others.';
create trigger refuse_circle before insert or update of photo_group_id, depends_on_id
    on public.photo_group_dependencies for each row execute function app.refuse_circle();

create table public.photographer_assignments (
    couple_id uuid not null,
    photo_group_id uuid not null,
    organization_id uuid not null,
    supplier_id uuid not null,
    user_id uuid not null,
    part text not null default 'lead' check (part in ('lead', 'second', 'assistant', 'video')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, photo_group_id, organization_id, user_id),
    foreign key (couple_id, photo_group_id) references public.photo_groups (couple_id, id) on delete cascade,
    foreign key (couple_id, organization_id, supplier_id)
        references public.connections (couple_id, organization_id, supplier_id) on delete cascade,
    foreign key (organization_id, user_id)
        references public.organization_members (organization_id, user_id) on delete cascade
);
comment on table public.photographer_assignments is 'Which person of a connected business takes a group; the business decides it.';
create index photographer_assignments_by_supplier
    on public.photographer_assignments (couple_id, organization_id, supplier_id);
create index photographer_assignments_by_member on public.photographer_assignments (organization_id, user_id);

alter table public.photographer_assignments enable row level security;
alter table public.photographer_assignments force row level security;
create policy tenant on public.photographer_assignments as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
create policy read on public.photographer_assignments for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.photographer_assignments for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy change on public.photographer_assignments for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy remove on public.photographer_assignments for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy service on public.photographer_assignments to service_role using (true) with check (true);
grant select, insert, delete on public.photographer_assignments to authenticated;
grant update (part) on public.photographer_assignments to authenticated;
grant select, insert, update, delete on public.photographer_assignments to service_role;

-- Wedding tables that were there before: a row does not move to another wedding by an update ----------------
revoke update on public.households, public.guests, public.timeline_events, public.photo_groups,
    public.photo_group_members, public.core_field_values from authenticated;
grant update (name) on public.households to authenticated;
grant update (household_id, first_name, last_name, email, phone, side, relationship, is_child, rsvp_status,
              dietary_notes, table_number) on public.guests to authenticated;
grant update (title, kind, starts_at, ends_at, location, notes) on public.timeline_events to authenticated;
grant update (name, description, estimated_duration, scheduled_start, location, priority, status,
              photo_location_id) on public.photo_groups to authenticated;
grant update (value, version) on public.core_field_values to authenticated;

create trigger touch before update on public.guest_dietary for each row execute function app.touch();
create trigger touch before update on public.timeline_event_suppliers for each row execute function app.touch();
create trigger touch before update on public.tasks for each row execute function app.touch();
create trigger touch before update on public.task_helpers for each row execute function app.touch();
create trigger touch before update on public.task_evidence for each row execute function app.touch();
create trigger touch before update on public.photo_locations for each row execute function app.touch();
create trigger touch before update on public.photo_group_dependencies for each row execute function app.touch();
create trigger touch before update on public.photographer_assignments for each row execute function app.touch();
