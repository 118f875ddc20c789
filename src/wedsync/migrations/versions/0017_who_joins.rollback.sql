-- The business that looks after a wedding decides again who belongs to it.
create or replace function app.accept_invitation(token text) returns jsonb
    language plpgsql volatile security definer
    set search_path = ''
as $$
declare
    caller uuid := auth.uid();
    invited public.invitations;
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
    if not found then   -- one answer for unknown, used and expired: a guess learns nothing
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

alter policy add on public.invitations
    with check (accepted_at is null and invited_by = (select auth.uid()) and (
        (couple_id is null and organization_id = any ((select app.my_organizations('{owner}'))::uuid[]))
        or couple_id = any ((select app.my_managed_couples())::uuid[])));
alter policy remove on public.couple_members
    using (couple_id = any ((select app.my_managed_couples())::uuid[]));
alter policy change on public.couple_members
    using (couple_id = any ((select app.my_managed_couples())::uuid[]));
alter policy add on public.couple_members
    with check (couple_id = any ((select app.my_managed_couples())::uuid[]));
drop function app.my_admitting_couples();
