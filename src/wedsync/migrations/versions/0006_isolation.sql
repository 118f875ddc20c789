-- Row-level security, enabled and forced on every table of public.
--
-- Each table has one RESTRICTIVE policy `tenant`: no row of another tenant, whatever else is allowed. On top
-- of it permissive policies say what a role may do inside its tenants. Every call is inside a scalar
-- sub-select: PostgreSQL asks it once a statement, not once a row.

-- Tables of a wedding ---------------------------------------------------------------------------------
do $$
declare
    name text;
begin
    foreach name in array array[
        'households', 'guests', 'timeline_events', 'photo_groups', 'photo_group_members', 'core_field_values']
    loop
        execute format($sql$
            create policy tenant on public.%1$I as restrictive to anon, authenticated
                using (couple_id = any ((select app.my_couples())::uuid[]));
            create policy read on public.%1$I for select to authenticated
                using ((select auth.uid()) is not null);
            create policy add on public.%1$I for insert to authenticated
                with check (couple_id = any ((select app.my_editable_couples())::uuid[]));
            create policy change on public.%1$I for update to authenticated
                using (couple_id = any ((select app.my_editable_couples())::uuid[]));
            create policy remove on public.%1$I for delete to authenticated
                using (couple_id = any ((select app.my_editable_couples())::uuid[]));
            grant select, insert, update, delete on public.%1$I to authenticated;
        $sql$, name);
    end loop;
end
$$;

-- Who belongs to a wedding ----------------------------------------------------------------------------
create policy tenant on public.couples as restrictive to anon, authenticated
    -- The second half is for a wedding that this very statement adds: my_couples() cannot know it yet.
    using (id = any ((select app.my_couples())::uuid[])
        or organization_id = any ((select app.my_organizations())::uuid[]));
create policy read on public.couples for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.couples for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy change on public.couples for update to authenticated
    using (id = any ((select app.my_managed_couples())::uuid[]));
create policy remove on public.couples for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner}'))::uuid[]));
grant select, insert, delete on public.couples to authenticated;
-- Not id, not organization_id: a wedding does not change its tenant by an update.
grant update (partner_one_name, partner_two_name, email, wedding_date, time_zone, venue_name, venue_address, status)
    on public.couples to authenticated;

create policy tenant on public.couple_members as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
create policy read on public.couple_members for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.couple_members for insert to authenticated
    with check (couple_id = any ((select app.my_managed_couples())::uuid[]));
create policy change on public.couple_members for update to authenticated
    using (couple_id = any ((select app.my_managed_couples())::uuid[]));
create policy remove on public.couple_members for delete to authenticated
    using (couple_id = any ((select app.my_managed_couples())::uuid[]));
grant select, insert, update, delete on public.couple_members to authenticated;

create policy tenant on public.connections as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[])
        or organization_id = any ((select app.my_organizations())::uuid[]));
create policy read on public.connections for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.connections for insert to authenticated
    with check (couple_id = any ((select app.my_managed_couples())::uuid[]));
create policy change on public.connections for update to authenticated
    using (couple_id = any ((select app.my_managed_couples())::uuid[]));
create policy remove on public.connections for delete to authenticated
    using (couple_id = any ((select app.my_managed_couples())::uuid[]));
grant select, insert, delete on public.connections to authenticated;
grant update (status, can_edit) on public.connections to authenticated;

-- Organizations ---------------------------------------------------------------------------------------
-- An organization is made by sign-up, which runs as service_role.
create policy tenant on public.organizations as restrictive to anon, authenticated
    using (id = any ((select app.known_organizations())::uuid[]));
create policy read on public.organizations for select to authenticated
    using ((select auth.uid()) is not null);
create policy change on public.organizations for update to authenticated
    using (id = any ((select app.my_organizations('{owner}'))::uuid[]));
grant select on public.organizations to authenticated;
grant update (name, slug, time_zone) on public.organizations to authenticated;

create policy tenant on public.organization_members as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[]));
create policy read on public.organization_members for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.organization_members for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner}'))::uuid[]));
create policy change on public.organization_members for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner}'))::uuid[]));
create policy remove on public.organization_members for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner}'))::uuid[]));
grant select, insert, update, delete on public.organization_members to authenticated;

create policy tenant on public.suppliers as restrictive to anon, authenticated
    using (organization_id = any ((select app.known_organizations())::uuid[]));
create policy read on public.suppliers for select to authenticated
    using ((select auth.uid()) is not null);
create policy add on public.suppliers for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy change on public.suppliers for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy remove on public.suppliers for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner}'))::uuid[]));
grant select, insert, update, delete on public.suppliers to authenticated;

-- Messages --------------------------------------------------------------------------------------------
-- Seen by the couple and by the one organization it writes with; sent messages stay as they were sent.
create policy tenant on public.message_threads as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
create policy read on public.message_threads for select to authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[])
        or couple_id = any ((select app.my_own_couples())::uuid[]));
create policy add on public.message_threads for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])
        or couple_id = any ((select app.my_own_couples('{partner}'))::uuid[]));
create policy change on public.message_threads for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])
        or couple_id = any ((select app.my_own_couples('{partner}'))::uuid[]));
grant select, insert on public.message_threads to authenticated;
grant update (subject) on public.message_threads to authenticated;

create policy tenant on public.messages as restrictive to anon, authenticated
    using (couple_id = any ((select app.my_couples())::uuid[]));
create policy read on public.messages for select to authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[])
        or couple_id = any ((select app.my_own_couples())::uuid[]));
create policy add on public.messages for insert to authenticated
    with check (sender_id = (select auth.uid()) and (
        (sender_kind = 'supplier'
            and organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]))
        or (sender_kind = 'couple'
            and couple_id = any ((select app.my_own_couples('{partner}'))::uuid[]))));
create policy change on public.messages for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[])
        or couple_id = any ((select app.my_own_couples('{partner}'))::uuid[]));
grant select, insert on public.messages to authenticated;
grant update (read_at) on public.messages to authenticated;

-- All tables ------------------------------------------------------------------------------------------
do $$
declare
    name text;
begin
    foreach name in array array[
        'organizations', 'organization_members', 'suppliers', 'couples', 'couple_members', 'connections',
        'households', 'guests', 'timeline_events', 'photo_groups', 'photo_group_members',
        'core_field_values', 'message_threads', 'messages']
    loop
        execute format($sql$
            alter table public.%1$I enable row level security;
            alter table public.%1$I force row level security;
            create policy service on public.%1$I to service_role using (true) with check (true);
            grant select, insert, update, delete on public.%1$I to service_role;
        $sql$, name);
    end loop;
end
$$;
