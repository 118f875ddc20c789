-- depends: 0007_identity
-- A business's daily work: clients, forms, journeys, notifications, files, services, bookings, the calendar.
--
-- Three kinds of table. Of one organization (clients, journeys): nobody else sees them. Between a couple and one
-- organization (submissions, bookings): these two see them, another supplier of the same wedding does not. Of one
-- person (notifications). The columns that say whose a row is are never granted for update.

-- Uuids beside ranges in one exclusion constraint. In a schema that the data API does not show.
create schema if not exists extensions;
comment on schema extensions is 'What extensions bring; not shown by the data API.';
revoke all on schema extensions from public;
create extension if not exists btree_gist with schema extensions;

-- What the policies below ask --------------------------------------------------------------------------
create function app.couple_organizations() returns uuid[]
    language sql stable security definer
    set search_path = ''
as $$
    select coalesce(array_agg(id), '{}') from (
        select organization_id as id from public.couples where id = any (app.my_own_couples())
        union
        select organization_id from public.connections
         where couple_id = any (app.my_own_couples()) and status = 'active'
    ) as theirs
$$;
comment on function app.couple_organizations() is
    'Organizations that work for the caller''s own wedding. Not those that the caller''s business meets there.';

create function app.my_client_couples(roles text[] default '{owner,staff,viewer}') returns uuid[]
    language sql stable security definer
    set search_path = ''
as $$
    select coalesce(array_agg(id), '{}') from (
        select id from public.couples where organization_id = any (app.my_organizations(roles))
        union
        select couple_id from public.connections
         where organization_id = any (app.my_organizations(roles)) and status in ('active', 'ended')
    ) as clients
$$;
comment on function app.my_client_couples(text[]) is
    'Weddings that the caller''s organizations work or worked for: a last invoice follows the end of a connection.';

grant execute on function app.couple_organizations(), app.my_client_couples(text[])
    to authenticated, service_role;

create function app.keep_version() returns trigger
    language plpgsql
    set search_path = ''
as $$
begin
    if new.version is distinct from old.version then
        raise exception 'this was changed meanwhile: version % is the newest, you saw %', old.version, new.version
            using errcode = 'PT409',   -- "conflict" for clients of the data API
                  detail = json_build_object('version', old.version, 'changed_at', old.updated_at)::text,
                  hint = 'read it again, put both changes together, and name the newest version';
    end if;
    new.version := old.version + 1;
    return new;
end
$$;
comment on function app.keep_version() is
    'Trigger: counts changes; an update that names another version than the newest is refused (PT409).';

-- Clients ---------------------------------------------------------------------------------------------
create table public.clients (
    organization_id uuid not null references public.organizations on delete cascade,
    id uuid not null default app.uuid_v7(),
    couple_id uuid references public.couples on delete set null,
    name text not null check (length(name) between 1 and 200),
    email text check (length(email) <= 320 and email like '%_@_%'),
    phone text check (length(phone) <= 40),
    status text not null default 'lead' check (status in ('lead', 'quoted', 'booked', 'completed', 'lost')),
    source text check (length(source) <= 200),
    wedding_date date,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, id)
);
comment on table public.clients is 'People a business deals with, before and after there is a wedding to look after.';
comment on column public.clients.couple_id is 'Their wedding, once the organization works for it.';
create index clients_by_couple on public.clients (couple_id, organization_id);
create index clients_by_name on public.clients (organization_id, name);

alter table public.clients enable row level security;
alter table public.clients force row level security;
create policy tenant on public.clients as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[]));
create policy read on public.clients for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.clients for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])
        and (couple_id is null or couple_id = any ((select app.my_client_couples())::uuid[])));
create policy change on public.clients for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]))
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])
        and (couple_id is null or couple_id = any ((select app.my_client_couples())::uuid[])));
create policy remove on public.clients for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy service on public.clients to service_role using (true) with check (true);
grant select, insert, delete on public.clients to authenticated;
grant update (couple_id, name, email, phone, status, source, wedding_date) on public.clients to authenticated;
grant select, insert, update, delete on public.clients to service_role;

create table public.client_notes (
    organization_id uuid not null,
    client_id uuid not null,
    id uuid not null default app.uuid_v7(),
    author_id uuid default auth.uid(),
    body text not null check (length(body) between 1 and 20000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, client_id, id),
    foreign key (organization_id, client_id) references public.clients (organization_id, id) on delete cascade
);
comment on table public.client_notes is 'What a business writes down about a client; the client never sees it.';

alter table public.client_notes enable row level security;
alter table public.client_notes force row level security;
create policy tenant on public.client_notes as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[]));
create policy read on public.client_notes for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.client_notes for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])
        and author_id = (select auth.uid()));
create policy change on public.client_notes for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy remove on public.client_notes for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy service on public.client_notes to service_role using (true) with check (true);
grant select, insert, delete on public.client_notes to authenticated;
grant update (body) on public.client_notes to authenticated;
grant select, insert, update, delete on public.client_notes to service_role;

-- Forms -----------------------------------------------------------------------------------------------
create table public.forms (
    organization_id uuid not null references public.organizations on delete cascade,
    id uuid not null default app.uuid_v7(),
    title text not null check (length(title) between 1 and 200),
    description text check (length(description) <= 4000),
    status text not null default 'draft' check (status in ('draft', 'published', 'archived')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, id)
);
comment on table public.forms is 'A questionnaire of an organization; once published its couples can fill it in.';

create table public.form_fields (
    organization_id uuid not null,
    form_id uuid not null,
    id uuid not null default app.uuid_v7(),
    position integer not null check (position between 1 and 1000),
    label text not null check (length(label) between 1 and 500),
    kind text not null default 'text' check (kind in (
        'text', 'long_text', 'number', 'date', 'time', 'yes_no', 'choice', 'choices', 'email', 'phone', 'file')),
    choices text[] check (cardinality(choices) between 1 and 200),
    is_required boolean not null default false,
    core_field_key text check (core_field_key ~ '^[a-z][a-z0-9_]{0,62}$'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, form_id, id),
    unique (organization_id, form_id, position) deferrable,
    foreign key (organization_id, form_id) references public.forms (organization_id, id) on delete cascade,
    constraint form_fields_choices check ((kind in ('choice', 'choices')) = (choices is not null))
);
comment on table public.form_fields is 'A question of a form.';
comment on column public.form_fields.core_field_key is 'The core field that this question asks for: known values are filled in.';

create function app.couple_forms() returns uuid[]
    language sql stable security definer
    set search_path = ''
as $$
    select coalesce(array_agg(id), '{}')
      from public.forms
     where organization_id = any (app.couple_organizations()) and status = 'published'
$$;
comment on function app.couple_forms() is 'Published forms of the organizations that work for the caller''s own wedding.';
grant execute on function app.couple_forms() to authenticated, service_role;

alter table public.forms enable row level security;
alter table public.forms force row level security;
create policy tenant on public.forms as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[])
        -- Both columns of the key: by the second alone the whole index would be read.
        or (organization_id = any ((select app.couple_organizations())::uuid[])
            and id = any ((select app.couple_forms())::uuid[])));
create policy read on public.forms for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.forms for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy change on public.forms for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy remove on public.forms for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy service on public.forms to service_role using (true) with check (true);
grant select, insert, delete on public.forms to authenticated;
grant update (title, description, status) on public.forms to authenticated;
grant select, insert, update, delete on public.forms to service_role;

alter table public.form_fields enable row level security;
alter table public.form_fields force row level security;
create policy tenant on public.form_fields as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[])
        or (organization_id = any ((select app.couple_organizations())::uuid[])
            and form_id = any ((select app.couple_forms())::uuid[])));
create policy read on public.form_fields for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.form_fields for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy change on public.form_fields for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy remove on public.form_fields for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy service on public.form_fields to service_role using (true) with check (true);
grant select, insert, delete on public.form_fields to authenticated;
grant update (position, label, kind, choices, is_required, core_field_key) on public.form_fields to authenticated;
grant select, insert, update, delete on public.form_fields to service_role;

create table public.form_submissions (
    couple_id uuid not null references public.couples on delete cascade,
    organization_id uuid not null,
    id uuid not null default app.uuid_v7(),
    form_id uuid not null,
    answers jsonb not null check (jsonb_typeof(answers) = 'object' and length(answers::text) <= 200000),
    status text not null default 'submitted' check (status in ('submitted', 'returned', 'reviewed')),
    submitted_by uuid default auth.uid(),
    submitted_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, organization_id, id),
    foreign key (organization_id, form_id) references public.forms (organization_id, id)
);
comment on table public.form_submissions is 'A couple''s answers to a form, as sent to its organization.';
create index form_submissions_by_form on public.form_submissions (organization_id, form_id, submitted_at);

alter table public.form_submissions enable row level security;
alter table public.form_submissions force row level security;
create policy tenant on public.form_submissions as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[])
        and (organization_id = any ((select app.my_organizations())::uuid[])
            or couple_id = any ((select app.my_own_couples())::uuid[])));
create policy read on public.form_submissions for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.form_submissions for insert to authenticated
    with check (submitted_by = (select auth.uid()) and (
        organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])
        or (couple_id = any ((select app.my_own_couples('{partner}'))::uuid[])
            and form_id = any ((select app.couple_forms())::uuid[]))));
create policy change on public.form_submissions for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])
        or couple_id = any ((select app.my_own_couples('{partner}'))::uuid[]));
create policy remove on public.form_submissions for delete to authenticated
    using (couple_id = any ((select app.my_own_couples('{partner}'))::uuid[]));
create policy service on public.form_submissions to service_role using (true) with check (true);
grant select, insert, delete on public.form_submissions to authenticated;
grant update (answers, status) on public.form_submissions to authenticated;
grant select, insert, update, delete on public.form_submissions to service_role;

create table public.form_drafts (
    couple_id uuid not null references public.couples on delete cascade,
    organization_id uuid not null,
    form_id uuid not null,
    user_id uuid not null,
    device_id uuid not null,
    answers jsonb not null check (jsonb_typeof(answers) = 'object' and length(answers::text) <= 200000),
    version integer not null default 1 check (version > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, organization_id, form_id, user_id, device_id),
    foreign key (organization_id, form_id) references public.forms (organization_id, id) on delete cascade,
    foreign key (user_id, device_id) references public.devices (user_id, id) on delete cascade
);
comment on table public.form_drafts is
    'Answers not yet sent, saved every 30 seconds: one draft a device, so that two devices never undo each other.';
create index form_drafts_by_form on public.form_drafts (organization_id, form_id);
create index form_drafts_by_device on public.form_drafts (user_id, device_id);

alter table public.form_drafts enable row level security;
alter table public.form_drafts force row level security;
create policy tenant on public.form_drafts as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_own_couples())::uuid[]));
create policy read on public.form_drafts for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.form_drafts for insert to authenticated
    with check (user_id = (select auth.uid())
        and couple_id = any ((select app.my_own_couples('{partner}'))::uuid[])
        and form_id = any ((select app.couple_forms())::uuid[]));
create policy change on public.form_drafts for update to authenticated
    using (user_id = (select auth.uid()) and couple_id = any ((select app.my_own_couples('{partner}'))::uuid[]));
create policy remove on public.form_drafts for delete to authenticated
    using (user_id = (select auth.uid()) and couple_id = any ((select app.my_own_couples('{partner}'))::uuid[]));
create policy service on public.form_drafts to service_role using (true) with check (true);
grant select, insert, delete on public.form_drafts to authenticated;
grant update (answers, version) on public.form_drafts to authenticated;
grant select, insert, update, delete on public.form_drafts to service_role;

create function public.save_form_draft(
    p_couple_id uuid, p_form_id uuid, p_device_id uuid, p_answers jsonb, p_version integer default null)
    returns integer
    language plpgsql volatile
    set search_path = ''
as $$
declare
    form_organization uuid := (select f.organization_id from public.forms f where f.id = p_form_id);
    saved integer;
begin
    if form_organization is null then
        raise exception 'there is no such form' using errcode = 'PT404';
    end if;
    insert into public.form_drafts as d (couple_id, organization_id, form_id, user_id, device_id, answers)
    values (p_couple_id, form_organization, p_form_id, auth.uid(), p_device_id, p_answers)
    on conflict (couple_id, organization_id, form_id, user_id, device_id)
    do update set answers = excluded.answers, version = coalesce(p_version, d.version)
    returning version into saved;
    return saved;
end
$$;
comment on function public.save_form_draft(uuid, uuid, uuid, jsonb, integer) is
    'Keep a form as far as it is filled in on this device; gives the new version, which the next save names.';
grant execute on function public.save_form_draft(uuid, uuid, uuid, jsonb, integer) to authenticated, service_role;

-- Journeys --------------------------------------------------------------------------------------------
create table public.journeys (
    organization_id uuid not null references public.organizations on delete cascade,
    id uuid not null default app.uuid_v7(),
    name text not null check (length(name) between 1 and 200),
    description text check (length(description) <= 4000),
    starts_on text not null default 'booking' check (starts_on in ('enquiry', 'booking', 'wedding_day')),
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, id)
);
comment on table public.journeys is 'A sequence of steps that an organization takes with each client.';

alter table public.journeys enable row level security;
alter table public.journeys force row level security;
create policy tenant on public.journeys as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[]));
create policy read on public.journeys for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.journeys for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy change on public.journeys for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy remove on public.journeys for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy service on public.journeys to service_role using (true) with check (true);
grant select, insert, delete on public.journeys to authenticated;
grant update (name, description, starts_on, is_active) on public.journeys to authenticated;
grant select, insert, update, delete on public.journeys to service_role;

create table public.journey_steps (
    organization_id uuid not null,
    journey_id uuid not null,
    id uuid not null default app.uuid_v7(),
    position integer not null check (position between 1 and 1000),
    kind text not null check (kind in ('email', 'message', 'form', 'task', 'wait')),
    title text not null check (length(title) between 1 and 200),
    days_after integer not null default 0 check (days_after between -1000 and 1000),
    content jsonb not null default '{}' check (jsonb_typeof(content) = 'object' and length(content::text) <= 100000),
    form_id uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, journey_id, id),
    unique (organization_id, journey_id, position) deferrable,
    foreign key (organization_id, journey_id) references public.journeys (organization_id, id) on delete cascade,
    foreign key (organization_id, form_id) references public.forms (organization_id, id),
    constraint journey_steps_form check ((kind = 'form') = (form_id is not null))
);
comment on table public.journey_steps is 'One step of a journey.';
comment on column public.journey_steps.days_after is 'Days after the journey''s start; before it where negative.';
create index journey_steps_by_form on public.journey_steps (organization_id, form_id);

alter table public.journey_steps enable row level security;
alter table public.journey_steps force row level security;
create policy tenant on public.journey_steps as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[]));
create policy read on public.journey_steps for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.journey_steps for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy change on public.journey_steps for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy remove on public.journey_steps for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy service on public.journey_steps to service_role using (true) with check (true);
grant select, insert, delete on public.journey_steps to authenticated;
grant update (position, kind, title, days_after, content, form_id) on public.journey_steps to authenticated;
grant select, insert, update, delete on public.journey_steps to service_role;

-- Notifications ---------------------------------------------------------------------------------------
create table public.notifications (
    user_id uuid not null references auth.users on delete cascade,
    id uuid not null default app.uuid_v7(),
    couple_id uuid references public.couples on delete cascade,
    organization_id uuid references public.organizations on delete cascade,
    kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,62}$'),
    title text not null check (length(title) between 1 and 300),
    body text check (length(body) <= 4000),
    link text check (length(link) <= 1000),
    read_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (user_id, id)
);
comment on table public.notifications is 'Something one person is told, in the app and on devices; written by the platform.';
create index notifications_by_couple on public.notifications (couple_id) where couple_id is not null;
create index notifications_by_organization on public.notifications (organization_id)
    where organization_id is not null;

alter table public.notifications enable row level security;
alter table public.notifications force row level security;
create policy tenant on public.notifications as restrictive to anon, authenticated
    using (user_id = (select auth.uid()));
create policy read on public.notifications for select to authenticated
    using ((select auth.uid()) is not null);
create policy change on public.notifications for update to authenticated
    using (user_id = (select auth.uid()));
create policy remove on public.notifications for delete to authenticated
    using (user_id = (select auth.uid()));
create policy service on public.notifications to service_role using (true) with check (true);
grant select, delete on public.notifications to authenticated;
grant update (read_at) on public.notifications to authenticated;
grant select, insert, update, delete on public.notifications to service_role;

-- Files -----------------------------------------------------------------------------------------------
create table public.files (
    organization_id uuid not null references public.organizations on delete cascade,
    id uuid not null default app.uuid_v7(),
    couple_id uuid references public.couples on delete cascade,
    name text not null check (length(name) between 1 and 255),
    media_type text not null check (media_type ~ '^[a-z]+/[a-z0-9.+-]{1,100}$'),
    size_bytes bigint not null check (size_bytes >= 0),
    sha256 bytea not null check (length(sha256) = 32),
    storage_key text not null check (length(storage_key) <= 500),
    uploaded_by uuid default auth.uid(),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, id),
    unique (couple_id, id),
    unique (organization_id, storage_key),
    -- A row never names the bytes of another business: whoever erases it would have those removed.
    constraint files_storage_own check (starts_with(storage_key, organization_id || '/'))
);
comment on table public.files is 'What is known of a stored file; its content is in the object store under storage_key.';
comment on column public.files.organization_id is 'The business whose storage it takes.';
comment on column public.files.couple_id is 'The wedding it belongs to, and is shared with; NULL: the business''s own.';

alter table public.files enable row level security;
alter table public.files force row level security;
create policy tenant on public.files as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[])
        or (couple_id is null and organization_id = any ((select app.my_organizations())::uuid[])));
create policy read on public.files for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.files for insert to authenticated
    with check (uploaded_by = (select auth.uid()) and (
        (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])
            and (couple_id is null or couple_id = any ((select app.my_editable_couples())::uuid[])))
        or (organization_id = any ((select app.couple_organizations())::uuid[])
            and couple_id = any ((select app.my_own_couples())::uuid[]))));
create policy change on public.files for update to authenticated
    using (uploaded_by = (select auth.uid())
        or couple_id = any ((select app.my_managed_couples())::uuid[])
        or (couple_id is null and organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])));
create policy remove on public.files for delete to authenticated
    using (uploaded_by = (select auth.uid())
        or couple_id = any ((select app.my_managed_couples())::uuid[])
        or (couple_id is null and organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])));
create policy service on public.files to service_role using (true) with check (true);
grant select, insert, delete on public.files to authenticated;
grant update (name) on public.files to authenticated;
grant select, insert, update, delete on public.files to service_role;

-- Services, bookings, the calendar ---------------------------------------------------------------------
create table public.services (
    organization_id uuid not null,
    id uuid not null default app.uuid_v7(),
    supplier_id uuid not null,
    name text not null check (length(name) between 1 and 200),
    description text check (length(description) <= 4000),
    price_minor bigint not null check (price_minor >= 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    duration_minutes integer check (duration_minutes between 1 and 10080),
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, id),
    foreign key (organization_id, supplier_id) references public.suppliers (organization_id, id) on delete cascade
);
comment on table public.services is 'What a supplier sells, and for how much; seen by its own couples, not by other businesses.';
comment on column public.services.price_minor is 'In the smallest unit of the currency: pence, cents.';
create index services_by_supplier on public.services (organization_id, supplier_id);

alter table public.services enable row level security;
alter table public.services force row level security;
create policy tenant on public.services as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[])
        or organization_id = any ((select app.couple_organizations())::uuid[]));
create policy read on public.services for select to authenticated
    using (is_active or organization_id = any ((select app.my_organizations())::uuid[]));
create policy add on public.services for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy change on public.services for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy remove on public.services for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy service on public.services to service_role using (true) with check (true);
grant select, insert, delete on public.services to authenticated;
grant update (name, description, price_minor, currency, duration_minutes, is_active)
    on public.services to authenticated;
grant select, insert, update, delete on public.services to service_role;

create table public.bookings (
    couple_id uuid not null references public.couples on delete cascade,
    organization_id uuid not null,
    id uuid not null default app.uuid_v7(),
    supplier_id uuid not null,
    service_id uuid,
    status text not null default 'requested' check (
        status in ('requested', 'confirmed', 'declined', 'cancelled', 'completed')),
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    time_zone text not null check (app.is_time_zone(time_zone)),
    price_minor bigint check (price_minor >= 0),
    currency text check (currency ~ '^[A-Z]{3}$'),
    notes text check (length(notes) <= 4000),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (couple_id, organization_id, id),
    foreign key (organization_id, supplier_id) references public.suppliers (organization_id, id),
    foreign key (organization_id, service_id) references public.services (organization_id, id),
    constraint bookings_in_order check (ends_at > starts_at),
    constraint bookings_price check ((price_minor is null) = (currency is null))
);
comment on table public.bookings is 'A couple books a supplier for a time. Only the supplier confirms; the price is the supplier''s.';
comment on column public.bookings.time_zone is 'Where it takes place: starts_at is shown in this zone.';
create index bookings_by_supplier on public.bookings (organization_id, supplier_id, starts_at);
create index bookings_by_service on public.bookings (organization_id, service_id);

alter table public.bookings enable row level security;
alter table public.bookings force row level security;
create policy tenant on public.bookings as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[])
        or couple_id = any ((select app.my_own_couples())::uuid[]));
create policy read on public.bookings for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.bookings for insert to authenticated
    with check ((organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])
            and couple_id = any ((select app.my_client_couples())::uuid[]))
        or (couple_id = any ((select app.my_own_couples('{partner}'))::uuid[])
            and organization_id = any ((select app.couple_organizations())::uuid[])
            and status = 'requested' and price_minor is null));
create policy change on public.bookings for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])
        or couple_id = any ((select app.my_own_couples('{partner}'))::uuid[]));
create policy remove on public.bookings for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy service on public.bookings to service_role using (true) with check (true);
grant select, insert, delete on public.bookings to authenticated;
grant update (supplier_id, service_id, status, starts_at, ends_at, time_zone, price_minor, currency, notes)
    on public.bookings to authenticated;
grant select, insert, update, delete on public.bookings to service_role;

create table public.availability (
    organization_id uuid not null,
    supplier_id uuid not null,
    id uuid not null default app.uuid_v7(),
    during tstzrange not null check (not isempty(during) and not lower_inf(during) and not upper_inf(during)),
    kind text not null check (kind in ('open', 'blocked', 'booked')),
    couple_id uuid,
    booking_id uuid,
    note text check (length(note) <= 500),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, supplier_id, id),
    foreign key (organization_id, supplier_id) references public.suppliers (organization_id, id) on delete cascade,
    foreign key (couple_id, organization_id, booking_id)
        references public.bookings (couple_id, organization_id, id) on delete cascade,
    unique (couple_id, organization_id, booking_id),
    constraint availability_booked check (
        (kind = 'booked') = (booking_id is not null) and (couple_id is null) = (booking_id is null)),
    -- Inside one supplier's calendar only: nobody learns from a refusal what another tenant has.
    constraint availability_not_twice exclude using gist (
        organization_id with =, supplier_id with =, during with &&) where (kind <> 'open')
);
comment on table public.availability is
    'The calendar of a supplier: open hours, blocked times, and what is booked. Only its own business sees it.';

alter table public.availability enable row level security;
alter table public.availability force row level security;
create policy tenant on public.availability as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[]));
create policy read on public.availability for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.availability for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]) and kind <> 'booked');
create policy change on public.availability for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]) and kind <> 'booked');
create policy remove on public.availability for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]) and kind <> 'booked');
create policy service on public.availability to service_role using (true) with check (true);
grant select, insert, delete on public.availability to authenticated;
grant update (during, kind, note) on public.availability to authenticated;
grant select, insert, update, delete on public.availability to service_role;

create function app.guard_booking() returns trigger
    language plpgsql
    set search_path = ''
as $$
begin
    if auth.uid() is null or new.organization_id = any (app.my_organizations('{owner,staff}')) then
        return new;   -- the supplier, or the platform itself
    end if;
    if (new.supplier_id, new.service_id, new.price_minor, new.currency)
            is distinct from (old.supplier_id, old.service_id, old.price_minor, old.currency)
        or (new.status <> old.status and new.status <> 'cancelled')
        or (old.status <> 'requested'
            and (new.starts_at, new.ends_at, new.time_zone) is distinct from (old.starts_at, old.ends_at, old.time_zone))
    then
        raise exception 'only the supplier changes this of a booking' using errcode = '42501',
            hint = 'a couple may cancel, and move what is not yet confirmed';
    end if;
    return new;
end
$$;
comment on function app.guard_booking() is 'Trigger: a couple cancels or moves its request; confirmation and price are the supplier''s.';

create function app.keep_calendar() returns trigger
    language plpgsql security definer
    set search_path = ''
as $$
begin
    delete from public.availability
     where couple_id = new.couple_id and organization_id = new.organization_id and booking_id = new.id;
    if new.status in ('confirmed', 'completed') then
        insert into public.availability (organization_id, supplier_id, during, kind, couple_id, booking_id)
        values (new.organization_id, new.supplier_id, tstzrange(new.starts_at, new.ends_at), 'booked',
                new.couple_id, new.id);
    end if;
    return null;
exception when exclusion_violation then
    -- Without the other booking's times: the constraint's own message names them.
    raise exception 'the supplier is not free at that time' using errcode = '23P01',
        constraint = 'availability_not_twice', hint = 'choose another time, or free this one first';
end
$$;
comment on function app.keep_calendar() is
    'Trigger: a confirmed booking takes its time in the calendar, where nothing is booked twice. As owner: no user writes "booked".';

create trigger guard before update on public.bookings for each row execute function app.guard_booking();
create trigger calendar after insert or update of supplier_id, status, starts_at, ends_at on public.bookings
    for each row execute function app.keep_calendar();
create trigger keep_version before update on public.form_drafts for each row execute function app.keep_version();

create trigger touch before update on public.clients for each row execute function app.touch();
create trigger touch before update on public.client_notes for each row execute function app.touch();
create trigger touch before update on public.forms for each row execute function app.touch();
create trigger touch before update on public.form_fields for each row execute function app.touch();
create trigger touch before update on public.form_submissions for each row execute function app.touch();
create trigger touch before update on public.form_drafts for each row execute function app.touch();
create trigger touch before update on public.journeys for each row execute function app.touch();
create trigger touch before update on public.journey_steps for each row execute function app.touch();
create trigger touch before update on public.notifications for each row execute function app.touch();
create trigger touch before update on public.files for each row execute function app.touch();
create trigger touch before update on public.services for each row execute function app.touch();
create trigger touch before update on public.bookings for each row execute function app.touch();
create trigger touch before update on public.availability for each row execute function app.touch();
