-- The same questions in SQL, as 0001, 0002, 0008 and 0009 put them.

create or replace function auth.jwt() returns jsonb
    language sql stable parallel safe
    set search_path = ''
as $$
    -- A setting that was once set and is reset reads '', not NULL.
    select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;

create or replace function auth.uid() returns uuid
    language sql stable parallel safe
    set search_path = ''
as $$
    select nullif(auth.jwt() ->> 'sub', '')::uuid
$$;

create or replace function auth.role() returns text
    language sql stable parallel safe
    set search_path = ''
as $$
    select nullif(auth.jwt() ->> 'role', '')
$$;

create or replace function app.my_organizations(roles text[] default '{owner,staff,viewer}') returns uuid[]
    language sql stable security definer
    set search_path = ''
as $$
    select coalesce(array_agg(organization_id), '{}')
      from public.organization_members
     where user_id = (select auth.uid()) and role = any (roles)
$$;

create or replace function app.my_own_couples(roles text[] default '{partner,helper}') returns uuid[]
    language sql stable security definer
    set search_path = ''
as $$
    select coalesce(array_agg(couple_id), '{}')
      from public.couple_members
     where user_id = (select auth.uid()) and role = any (roles)
$$;

create or replace function app.my_couples() returns uuid[]
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

create or replace function app.my_managed_couples() returns uuid[]
    language sql stable security definer
    set search_path = ''
as $$
    select coalesce(array_agg(id), '{}') from (
        select unnest(app.my_own_couples('{partner}')) as id
        union
        select id from public.couples where organization_id = any (app.my_organizations('{owner,staff}'))
    ) as mine
$$;

create or replace function app.my_editable_couples() returns uuid[]
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

create or replace function app.known_organizations() returns uuid[]
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

create or replace function app.couple_organizations() returns uuid[]
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

create or replace function app.my_client_couples(roles text[] default '{owner,staff,viewer}') returns uuid[]
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

create or replace function app.couple_forms() returns uuid[]
    language sql stable security definer
    set search_path = ''
as $$
    select coalesce(array_agg(id), '{}')
      from public.forms
     where organization_id = any (app.couple_organizations()) and status = 'published'
$$;

create or replace function app.my_tasks() returns text[]
    language sql stable security definer
    set search_path = ''
as $$
    -- Both halves of the key: clients choose ids, so a task of another wedding may have the same one.
    select coalesce(array_agg(couple_id || ' ' || task_id), '{}')
      from public.task_helpers
     where user_id = (select auth.uid())
$$;
