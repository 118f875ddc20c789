-- depends: 0009_wedding
-- What policies ask, quicker: the same questions and answers, in plpgsql.
--
-- A function in SQL that cannot be inlined (security definer, or with a search_path of its own) is parsed and planned
-- anew at each call, and so are those that it calls; plpgsql keeps the plans as long as the session. A policy asks once
-- or twice for each table of a statement, and nothing else in it takes as long: bench/rls. Answers of other functions
-- are put into variables, so that no plan calls them for each row.

create or replace function auth.jwt() returns jsonb
    language plpgsql stable parallel safe
    set search_path = ''
as $$
begin
    -- A setting that was once set and is reset reads '', not NULL.
    return nullif(current_setting('request.jwt.claims', true), '')::jsonb;
end
$$;

create or replace function auth.uid() returns uuid
    language plpgsql stable parallel safe
    set search_path = ''
as $$
begin
    return nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid;
end
$$;

create or replace function auth.role() returns text
    language plpgsql stable parallel safe
    set search_path = ''
as $$
begin
    return nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role', '');
end
$$;

create or replace function app.my_organizations(roles text[] default '{owner,staff,viewer}') returns uuid[]
    language plpgsql stable security definer
    set search_path = ''
as $$
declare
    caller constant uuid := auth.uid();
begin
    return (select coalesce(array_agg(m.organization_id), '{}')
              from public.organization_members m
             where m.user_id = caller and m.role = any (roles));
end
$$;

create or replace function app.my_own_couples(roles text[] default '{partner,helper}') returns uuid[]
    language plpgsql stable security definer
    set search_path = ''
as $$
declare
    caller constant uuid := auth.uid();
begin
    return (select coalesce(array_agg(m.couple_id), '{}')
              from public.couple_members m
             where m.user_id = caller and m.role = any (roles));
end
$$;

create or replace function app.my_couples() returns uuid[]
    language plpgsql stable security definer
    set search_path = ''
as $$
declare
    own constant uuid[] := app.my_own_couples();
    businesses constant uuid[] := app.my_organizations();
begin
    if businesses = '{}' then
        return own;
    end if;
    return (select coalesce(array_agg(mine.id), '{}') from (
                select unnest(own) as id
                union
                select c.id from public.couples c where c.organization_id = any (businesses)
                union
                select n.couple_id from public.connections n
                 where n.organization_id = any (businesses) and n.status = 'active'
            ) as mine);
end
$$;

create or replace function app.my_managed_couples() returns uuid[]
    language plpgsql stable security definer
    set search_path = ''
as $$
declare
    own constant uuid[] := app.my_own_couples('{partner}');
    businesses constant uuid[] := app.my_organizations('{owner,staff}');
begin
    if businesses = '{}' then
        return own;
    end if;
    return (select coalesce(array_agg(mine.id), '{}') from (
                select unnest(own) as id
                union
                select c.id from public.couples c where c.organization_id = any (businesses)
            ) as mine);
end
$$;

create or replace function app.my_editable_couples() returns uuid[]
    language plpgsql stable security definer
    set search_path = ''
as $$
declare
    managed constant uuid[] := app.my_managed_couples();
    businesses constant uuid[] := app.my_organizations('{owner,staff}');
begin
    if businesses = '{}' then
        return managed;
    end if;
    return (select coalesce(array_agg(mine.id), '{}') from (
                select unnest(managed) as id
                union
                select n.couple_id from public.connections n
                 where n.organization_id = any (businesses) and n.status = 'active' and n.can_edit
            ) as mine);
end
$$;

create or replace function app.known_organizations() returns uuid[]
    language plpgsql stable security definer
    set search_path = ''
as $$
declare
    businesses constant uuid[] := app.my_organizations();
    seen constant uuid[] := app.my_couples();
    own constant uuid[] := app.my_own_couples();
begin
    return (select coalesce(array_agg(known.id), '{}') from (
                select unnest(businesses) as id
                union
                select n.organization_id from public.connections n where n.couple_id = any (seen)
                union
                select c.organization_id from public.couples c where c.id = any (own)
            ) as known);
end
$$;

create or replace function app.couple_organizations() returns uuid[]
    language plpgsql stable security definer
    set search_path = ''
as $$
declare
    own constant uuid[] := app.my_own_couples();
begin
    return (select coalesce(array_agg(theirs.id), '{}') from (
                select c.organization_id as id from public.couples c where c.id = any (own)
                union
                select n.organization_id from public.connections n
                 where n.couple_id = any (own) and n.status = 'active'
            ) as theirs);
end
$$;

create or replace function app.my_client_couples(roles text[] default '{owner,staff,viewer}') returns uuid[]
    language plpgsql stable security definer
    set search_path = ''
as $$
declare
    businesses constant uuid[] := app.my_organizations(roles);
begin
    return (select coalesce(array_agg(clients.id), '{}') from (
                select c.id from public.couples c where c.organization_id = any (businesses)
                union
                select n.couple_id from public.connections n
                 where n.organization_id = any (businesses) and n.status in ('active', 'ended')
            ) as clients);
end
$$;

create or replace function app.couple_forms() returns uuid[]
    language plpgsql stable security definer
    set search_path = ''
as $$
declare
    theirs constant uuid[] := app.couple_organizations();
begin
    return (select coalesce(array_agg(f.id), '{}')
              from public.forms f
             where f.organization_id = any (theirs) and f.status = 'published');
end
$$;

create or replace function app.my_tasks() returns text[]
    language plpgsql stable security definer
    set search_path = ''
as $$
declare
    caller constant uuid := auth.uid();
begin
    return (select coalesce(array_agg(h.couple_id || ' ' || h.task_id), '{}')
              from public.task_helpers h
             where h.user_id = caller);
end
$$;
