-- Guests and the households they come from.

create table public.households (
    couple_id uuid not null references public.couples on delete cascade,
    id uuid not null default app.uuid_v7(),
    name text not null check (length(name) between 1 and 200),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, id)
);
comment on table public.households is 'Guests who are invited by one card.';

create table public.guests (
    couple_id uuid not null references public.couples on delete cascade,
    id uuid not null default app.uuid_v7(),
    household_id uuid,
    first_name text not null check (length(first_name) between 1 and 100),
    last_name text not null check (length(last_name) <= 100),
    email text check (length(email) <= 320 and email like '%_@_%'),
    phone text check (length(phone) <= 40),
    side text not null default 'both' check (side in ('partner_one', 'partner_two', 'both')),
    relationship text not null default 'friend' check (relationship in (
        'partner', 'parent', 'stepparent', 'grandparent', 'sibling', 'aunt_uncle', 'cousin', 'niece_nephew',
        'child', 'wedding_party', 'friend', 'colleague', 'other')),
    is_child boolean not null default false,
    rsvp_status text not null default 'pending' check (rsvp_status in ('pending', 'accepted', 'declined', 'maybe')),
    dietary_notes text check (length(dietary_notes) <= 1000),
    table_number smallint check (table_number between 1 and 500),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, id),
    foreign key (couple_id, household_id) references public.households (couple_id, id)
        on delete set null (household_id)
);
comment on table public.guests is 'A person invited to a wedding.';
create index guests_by_household on public.guests (couple_id, household_id);
create index guests_by_name on public.guests (couple_id, last_name, first_name);

create trigger touch before update on public.households for each row execute function app.touch();
create trigger touch before update on public.guests for each row execute function app.touch();
