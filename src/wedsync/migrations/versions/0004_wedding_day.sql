-- The day itself: the timeline, the photo groups, and the few values that everybody shares.

create table public.timeline_events (
    couple_id uuid not null references public.couples on delete cascade,
    id uuid not null default app.uuid_v7(),
    title text not null check (length(title) between 1 and 200),
    kind text not null default 'other' check (kind in (
        'preparation', 'ceremony', 'photos', 'reception', 'meal', 'speeches', 'dancing', 'travel', 'other')),
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    location text check (length(location) <= 200),
    notes text check (length(notes) <= 4000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, id),
    constraint timeline_events_in_order check (ends_at > starts_at)
);
comment on table public.timeline_events is 'What happens when on the day.';
create index timeline_events_by_start on public.timeline_events (couple_id, starts_at);

create table public.photo_groups (
    couple_id uuid not null references public.couples on delete cascade,
    id uuid not null default app.uuid_v7(),
    name text not null check (length(name) between 1 and 200),
    description text check (length(description) <= 2000),
    estimated_duration integer not null default 5 check (estimated_duration between 1 and 240),
    scheduled_start timestamptz,
    location text check (length(location) <= 200),
    priority smallint not null default 3 check (priority between 1 and 5),
    status text not null default 'planned' check (status in ('planned', 'ready', 'taken', 'skipped')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, id)
);
comment on table public.photo_groups is 'A group to be photographed.';
comment on column public.photo_groups.estimated_duration is 'In minutes.';
comment on column public.photo_groups.priority is '1 must not be missed; 5 if there is time.';
create index photo_groups_by_start on public.photo_groups (couple_id, scheduled_start);

create table public.photo_group_members (
    couple_id uuid not null,
    photo_group_id uuid not null,
    guest_id uuid not null,
    created_at timestamptz not null default now(),
    primary key (couple_id, photo_group_id, guest_id),
    foreign key (couple_id, photo_group_id) references public.photo_groups (couple_id, id) on delete cascade,
    foreign key (couple_id, guest_id) references public.guests (couple_id, id) on delete cascade
);
comment on table public.photo_group_members is 'A guest in a photo group; both of the same wedding, by the keys.';
create index photo_group_members_by_guest on public.photo_group_members (couple_id, guest_id);

create table public.core_field_values (
    couple_id uuid not null references public.couples on delete cascade,
    field_key text not null check (field_key ~ '^[a-z][a-z0-9_]{0,62}$'),
    value jsonb not null check (length(value::text) <= 20000),
    version integer not null default 1 check (version > 0),
    updated_by uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, field_key)
);
comment on table public.core_field_values is 'What a couple tells all its suppliers once: guest count, colours, first dance.';
comment on column public.core_field_values.version is 'Rises with each change; an update that names the version it saw loses no other edit.';

create trigger touch before update on public.timeline_events for each row execute function app.touch();
create trigger touch before update on public.photo_groups for each row execute function app.touch();
create trigger touch before update on public.core_field_values for each row execute function app.touch();
