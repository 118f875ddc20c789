-- depends: 0015_policy_functions
-- Who joins a wedding is the couple's to say, once there is a couple.
--
-- The business that looks after a wedding could add its own people as partners, and as such read what the couple
-- writes and pays to its other suppliers. From now on it fills a wedding that has nobody yet, and its letters
-- count for the first two partners; after that the partners decide.

create function app.my_admitting_couples() returns uuid[]
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
                select c.id from public.couples c
                 where c.organization_id = any (businesses)
                   and not exists (select from public.couple_members m where m.couple_id = c.id and m.role = 'partner')
            ) as mine);
end
$$;
comment on function app.my_admitting_couples() is
    'Weddings whose people the caller decides on: the own one as partner, and those looked after that have no partner yet.';
grant execute on function app.my_admitting_couples() to authenticated, service_role;

alter policy add on public.couple_members
    with check (couple_id = any ((select app.my_admitting_couples())::uuid[]));
alter policy change on public.couple_members
    using (couple_id = any ((select app.my_admitting_couples())::uuid[]));
-- Whoever wants to may leave.
alter policy remove on public.couple_members
    using (couple_id = any ((select app.my_admitting_couples())::uuid[]) or user_id = (select auth.uid()));

alter policy add on public.invitations
    with check (accepted_at is null and invited_by = (select auth.uid()) and (
        (couple_id is null and organization_id = any ((select app.my_organizations('{owner}'))::uuid[]))
        or couple_id = any ((select app.my_admitting_couples())::uuid[])));

create or replace function app.accept_invitation(token text) returns jsonb
    language plpgsql volatile security definer
    set search_path = ''
as $$
declare
    caller uuid := auth.uid();
    invited public.invitations;
    partners integer;
begin
    if caller is null then
        raise exception 'sign in before accepting an invitation' using errcode = '28000';
    end if;
    update public.invitations
       set accepted_at = clock_timestamp(), accepted_by = caller
     where organization_id = app.secret_organization(token, 'wsi_')
       and token_hash = app.secret_hash(token)
       and accepted_at is null and expires_at > clock_timestamp()
    returning * into invited;
    if found and invited.couple_id is not null and not exists (
        select from public.couple_members m
         where m.couple_id = invited.couple_id and m.user_id = invited.invited_by and m.role = 'partner')
    then
        -- A letter of the business: for the first two partners, and for helpers while there is none. The wedding's
        -- lock: two letters at once are counted one after the other.
        perform from public.couples c where c.id = invited.couple_id for update;
        select count(*) into partners from public.couple_members m
         where m.couple_id = invited.couple_id and m.role = 'partner';
        if partners >= (case invited.role when 'partner' then 2 else 1 end) then
            invited.id := null;
        end if;
    end if;
    if invited.id is null then   -- one answer for unknown, used, expired, overtaken: a guess learns nothing
        raise exception 'this invitation is not valid, or no longer'
            using errcode = 'PT404', hint = 'ask for a new one';
    end if;
    if invited.couple_id is null then
        insert into public.organization_members (organization_id, user_id, role)
        values (invited.organization_id, caller, invited.role)
        on conflict (organization_id, user_id) do nothing;
    else
        insert into public.couple_members (couple_id, user_id, role)
        values (invited.couple_id, caller, invited.role)
        on conflict (couple_id, user_id) do nothing;
    end if;
    return jsonb_build_object(
        'organization_id', invited.organization_id, 'couple_id', invited.couple_id, 'role', invited.role);
end
$$;
