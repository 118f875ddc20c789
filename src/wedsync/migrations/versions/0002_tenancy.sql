-- Who is a tenant: organizations (the businesses) and couples (the weddings); who belongs to which; and
-- which businesses a couple lets in.
--
-- A wedding's rows belong to the couple, not to the business that typed them: every table about a wedding
-- leads with couple_id, every table about a business with organization_id.

create table public.organizations (
    id uuid primary key default app.uuid_v7(),
    name text not null check (length(name) between 1 and 200),
    slug text not null unique check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    time_zone text not null default 'Europe/London' check (app.is_time_zone(time_zone)),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table public.organizations is 'A business that works for weddings; one of the two kinds of tenant.';

create table public.organization_members (
    organization_id uuid not null references public.organizations on delete cascade,
    user_id uuid not null,
    role text not null check (role in ('owner', 'staff', 'viewer')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, user_id)
);
comment on table public.organization_members is 'Users who act for an organization; a viewer changes nothing.';
-- The policies ask "which are mine": the only indexes here that lead with the user.
create index organization_members_by_user on public.organization_members (user_id, organization_id);

create table public.suppliers (
    organization_id uuid not null references public.organizations on delete cascade,
    id uuid not null default app.uuid_v7(),
    name text not null check (length(name) between 1 and 200),
    category text not null check (category in (
        'photographer', 'videographer', 'venue', 'planner', 'caterer', 'florist', 'musician', 'cake', 'other')),
    email text check (length(email) <= 320 and email like '%_@_%'),
    phone text check (length(phone) <= 40),
    website text check (length(website) <= 500),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, id)
);
comment on table public.suppliers is 'What an organization offers to couples: a photographer, a venue, a planner.';

create table public.couples (
    id uuid primary key default app.uuid_v7(),
    organization_id uuid not null references public.organizations on delete restrict,
    partner_one_name text not null check (length(partner_one_name) between 1 and 200),
    partner_two_name text not null check (length(partner_two_name) between 1 and 200),
    email text check (length(email) <= 320 and email like '%_@_%'),
    wedding_date date not null,
    time_zone text not null check (app.is_time_zone(time_zone)),
    venue_name text check (length(venue_name) <= 200),
    venue_address text check (length(venue_address) <= 500),
    status text not null default 'booked' check (status in ('enquiry', 'booked', 'completed', 'cancelled')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (organization_id, id)
);
comment on table public.couples is 'A wedding: the other kind of tenant. Its day is wedding_date in time_zone.';
comment on column public.couples.organization_id is 'The organization that looks after the wedding''s record.';
create index couples_by_date on public.couples (organization_id, wedding_date);

create table public.couple_members (
    couple_id uuid not null references public.couples on delete cascade,
    user_id uuid not null,
    role text not null check (role in ('partner', 'helper')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, user_id)
);
comment on table public.couple_members is 'Users who belong to a wedding; a helper changes nothing.';
create index couple_members_by_user on public.couple_members (user_id, couple_id);

create table public.connections (
    couple_id uuid not null references public.couples on delete cascade,
    organization_id uuid not null,
    supplier_id uuid not null,
    status text not null default 'invited' check (status in ('invited', 'active', 'ended')),
    can_edit boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, organization_id, supplier_id),
    foreign key (organization_id, supplier_id) references public.suppliers (organization_id, id) on delete cascade
);
comment on table public.connections is 'A supplier that a couple works with; while active, its organization sees the wedding.';
create index connections_by_organization on public.connections (organization_id, supplier_id, couple_id);

create trigger touch before update on public.organizations for each row execute function app.touch();
create trigger touch before update on public.organization_members for each row execute function app.touch();
create trigger touch before update on public.suppliers for each row execute function app.touch();
create trigger touch before update on public.couples for each row execute function app.touch();
create trigger touch before update on public.couple_members for each row execute function app.touch();
create trigger touch before update on public.connections for each row execute function app.touch();

-- Which are mine --------------------------------------------------------------------------------------
-- Each gives an array, so that a policy asks once a statement (an initplan) and filters by index. They run
-- as their owner, past the policies that they serve.

create function app.my_organizations(roles text[] default '{owner,staff,viewer}') returns uuid[]
    language sql stable security definer
    set search_path = ''
as $$
    select coalesce(array_agg(organization_id), '{}')
      from public.organization_members
     where user_id = (select auth.uid()) and role = any (roles)
$$;
comment on function app.my_organizations(text[]) is 'Organizations the caller acts for, in one of these roles.';

create function app.my_own_couples(roles text[] default '{partner,helper}') returns uuid[]
    language sql stable security definer
    set search_path = ''
as $$
    select coalesce(array_agg(couple_id), '{}')
      from public.couple_members
     where user_id = (select auth.uid()) and role = any (roles)
$$;
comment on function app.my_own_couples(text[]) is 'Weddings the caller belongs to as one of the couple or a helper.';

create function app.my_couples() returns uuid[]
    language sql stable security definer
    set search_path = ''
as $$
    select coalesce(array_agg(id), '{}') from (
        select unnest(app.my_own_couples()) as id
        union
        select id from public.couples where organization_id = any (app.my_organizations())
        union
        select couple_id from public.connections
         where organization_id = any (app.my_organizations()) and status = 'active'
    ) as mine
$$;
comment on function app.my_couples() is 'Weddings the caller may see: own, looked after, or connected.';

create function app.my_managed_couples() returns uuid[]
    language sql stable security definer
    set search_path = ''
as $$
    select coalesce(array_agg(id), '{}') from (
        select unnest(app.my_own_couples('{partner}')) as id
        union
        select id from public.couples where organization_id = any (app.my_organizations('{owner,staff}'))
    ) as mine
$$;
comment on function app.my_managed_couples() is 'Weddings whose members and suppliers the caller decides on.';

create function app.my_editable_couples() returns uuid[]
    language sql stable security definer
    set search_path = ''
as $$
    select coalesce(array_agg(id), '{}') from (
        select unnest(app.my_managed_couples()) as id
        union
        select couple_id from public.connections
         where organization_id = any (app.my_organizations('{owner,staff}')) and status = 'active' and can_edit
    ) as mine
$$;
comment on function app.my_editable_couples() is 'Weddings whose rows the caller may change.';

create function app.known_organizations() returns uuid[]
    language sql stable security definer
    set search_path = ''
as $$
    select coalesce(array_agg(id), '{}') from (
        select unnest(app.my_organizations()) as id
        union
        select organization_id from public.connections where couple_id = any (app.my_couples())
        union
        select organization_id from public.couples where id = any (app.my_own_couples())
    ) as known
$$;
comment on function app.known_organizations() is 'Organizations the caller works with: own, and those of shared weddings.';

grant execute on function
    app.my_organizations(text[]), app.my_own_couples(text[]), app.my_couples(), app.my_managed_couples(),
    app.my_editable_couples(), app.known_organizations()
    to authenticated, service_role;
