-- depends: 0006_isolation
-- Users and how they come in: accounts, invitations, API keys, devices.
--
-- Secrets that need not be read again are kept as SHA-256: they are random, 244 bits long, so a slow hash would
-- protect nothing. A token names its organization (`<organization>.<secret>`), so that it is found by the
-- tenant's own index.

-- Accounts --------------------------------------------------------------------------------------------
create table auth.users (
    id uuid primary key default app.uuid_v7(),
    email text check (length(email) <= 320 and email like '%_@_%'),
    phone text check (phone ~ '^\+?[0-9]{6,15}$'),
    encrypted_password text check (length(encrypted_password) between 20 and 500),
    email_confirmed_at timestamptz,
    phone_confirmed_at timestamptz,
    last_sign_in_at timestamptz,
    banned_until timestamptz,
    is_anonymous boolean not null default false,
    raw_app_meta_data jsonb not null default '{}' check (jsonb_typeof(raw_app_meta_data) = 'object'),
    raw_user_meta_data jsonb not null default '{}' check (jsonb_typeof(raw_user_meta_data) = 'object'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table auth.users is 'An account: one person who signs in. Read by the sign-in service only.';
comment on column auth.users.encrypted_password is 'A password hash with its method and salt; NULL where the person signs in another way.';
comment on column auth.users.raw_app_meta_data is 'Set by the platform, such as {"provider": "email"}; the person cannot change it.';
comment on column auth.users.raw_user_meta_data is 'Set by the person: never decide a right on it.';
create unique index users_by_email on auth.users (lower(email));
create unique index users_by_phone on auth.users (phone);

create trigger touch before update on auth.users for each row execute function app.touch();

alter table auth.users enable row level security;
alter table auth.users force row level security;
-- Nothing is granted to them; should it ever be, a person still sees nobody else.
create policy tenant on auth.users as restrictive to anon, authenticated using (id = (select auth.uid()));
create policy service on auth.users to service_role using (true) with check (true);
grant select, insert, update, delete on auth.users to service_role;

-- Whoever is a member already has an account from now on; its e-mail comes with the first sign-in.
insert into auth.users (id)
select user_id from public.organization_members
union
select user_id from public.couple_members;

-- lint: allow constraint-missing-not-valid because the table is short: a row a person and business
alter table public.organization_members
    add constraint organization_members_user foreign key (user_id) references auth.users on delete cascade;
-- lint: allow constraint-missing-not-valid because the table is short: a row a person and wedding
alter table public.couple_members
    add constraint couple_members_user foreign key (user_id) references auth.users on delete cascade;

-- A membership or a supplier does not move to another tenant by an update.
revoke update on public.organization_members, public.couple_members, public.suppliers from authenticated;
grant update (role) on public.organization_members to authenticated;
grant update (role) on public.couple_members to authenticated;
grant update (name, category, email, phone, website) on public.suppliers to authenticated;

-- Secrets ---------------------------------------------------------------------------------------------
create function app.new_secret(organization_id uuid, prefix text) returns text
    language sql volatile
    set search_path = ''
as $$
    select prefix || replace(organization_id::text, '-', '') || '.'
        || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')
$$;
comment on function app.new_secret(uuid, text) is 'A token of 244 random bits that names its organization.';

create function app.secret_organization(secret text, prefix text) returns uuid
    language sql immutable
    set search_path = ''
as $$
    select substring(secret from '^' || prefix || '([0-9a-f]{32})[.][0-9a-f]{64}$')::uuid
$$;
comment on function app.secret_organization(text, text) is 'The organization that a token names; NULL if it is no such token.';

create function app.secret_hash(secret text) returns bytea
    language sql immutable strict
    set search_path = ''
as $$
    select sha256(convert_to(secret, 'UTF8'))
$$;
comment on function app.secret_hash(text) is 'What is kept of a token that need not be read again.';

grant execute on function app.new_secret(uuid, text), app.secret_organization(text, text), app.secret_hash(text)
    to authenticated, service_role;

-- Invitations -----------------------------------------------------------------------------------------
create table public.invitations (
    organization_id uuid not null references public.organizations on delete cascade,
    id uuid not null default app.uuid_v7(),
    couple_id uuid,
    role text not null,
    email text not null check (length(email) <= 320 and email like '%_@_%'),
    token_hash bytea not null check (length(token_hash) = 32),
    invited_by uuid default auth.uid(),
    expires_at timestamptz not null default now() + interval '14 days',
    accepted_at timestamptz,
    accepted_by uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, id),
    unique (organization_id, token_hash),
    foreign key (organization_id, couple_id) references public.couples (organization_id, id) on delete cascade,
    constraint invitations_role check (
        case when couple_id is null then role in ('owner', 'staff', 'viewer') else role in ('partner', 'helper') end),
    constraint invitations_expire check (expires_at > created_at),
    constraint invitations_accepted check ((accepted_at is null) = (accepted_by is null))
);
comment on table public.invitations is 'A person asked to join an organization or, with couple_id, a wedding that it looks after.';
comment on column public.invitations.token_hash is 'SHA-256 of the token in the letter; the token itself is nowhere.';
create index invitations_by_couple on public.invitations (couple_id, organization_id);

create trigger touch before update on public.invitations for each row execute function app.touch();

alter table public.invitations enable row level security;
alter table public.invitations force row level security;
create policy tenant on public.invitations as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[])
        or couple_id = any ((select app.my_own_couples())::uuid[]));
create policy read on public.invitations for select to authenticated
    using ((couple_id is null and organization_id = any ((select app.my_organizations('{owner}'))::uuid[]))
        or couple_id = any ((select app.my_managed_couples())::uuid[]));
create policy add on public.invitations for insert to authenticated
    with check (accepted_at is null and invited_by = (select auth.uid()) and (
        (couple_id is null and organization_id = any ((select app.my_organizations('{owner}'))::uuid[]))
        or couple_id = any ((select app.my_managed_couples())::uuid[])));
create policy remove on public.invitations for delete to authenticated
    using ((couple_id is null and organization_id = any ((select app.my_organizations('{owner}'))::uuid[]))
        or couple_id = any ((select app.my_managed_couples())::uuid[]));
create policy service on public.invitations to service_role using (true) with check (true);
grant select (organization_id, id, couple_id, role, email, invited_by, expires_at, accepted_at, accepted_by,
              created_at, updated_at) on public.invitations to authenticated;
grant insert (organization_id, id, couple_id, role, email, token_hash, invited_by, expires_at)
    on public.invitations to authenticated;
grant delete on public.invitations to authenticated;
grant select, insert, update, delete on public.invitations to service_role;

create function public.create_invitation(
    p_organization_id uuid, p_email text, p_role text, p_couple_id uuid default null) returns text
    language plpgsql volatile
    set search_path = ''
as $$
declare
    token text := app.new_secret(p_organization_id, 'wsi_');
begin
    insert into public.invitations (organization_id, couple_id, role, email, token_hash, invited_by)
    values (p_organization_id, p_couple_id, p_role, p_email, app.secret_hash(token), auth.uid());
    return token;
end
$$;
comment on function public.create_invitation(uuid, text, text, uuid) is
    'Invite a person to an organization or to a wedding of it; gives the token for the letter, once.';

create function app.accept_invitation(token text) returns jsonb
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
comment on function app.accept_invitation(text) is 'Make the caller a member as invited; a token works once.';

-- What the data API shows runs as the caller; what must not is in app, behind it.
create function public.accept_invitation(p_token text) returns jsonb
    language sql volatile
    set search_path = ''
as $$
    select app.accept_invitation(p_token)
$$;
comment on function public.accept_invitation(text) is 'Join the organization or the wedding that a token invites to.';

grant execute on function
    public.create_invitation(uuid, text, text, uuid), app.accept_invitation(text), public.accept_invitation(text)
    to authenticated, service_role;

-- API keys --------------------------------------------------------------------------------------------
create table public.api_keys (
    organization_id uuid not null references public.organizations on delete cascade,
    id uuid not null default app.uuid_v7(),
    name text not null check (length(name) between 1 and 100),
    prefix text not null check (length(prefix) between 4 and 60),
    key_hash bytea not null check (length(key_hash) = 32),
    scopes text[] not null default '{read}' check (
        scopes <@ '{read,write,money,webhooks}'::text[] and cardinality(scopes) > 0),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    created_by uuid default auth.uid(),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, id),
    unique (organization_id, key_hash),
    constraint api_keys_expire check (expires_at > created_at)
);
comment on table public.api_keys is 'A key by which a program acts for an organization. Shown once; only its hash is kept.';
comment on column public.api_keys.prefix is 'The beginning of the key, to recognise it by.';

create trigger touch before update on public.api_keys for each row execute function app.touch();

create function app.guard_api_key() returns trigger
    language plpgsql
    set search_path = ''
as $$
begin
    if old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at then
        raise exception 'the key % was revoked: it stays so', old.name using errcode = '23514',
            hint = 'make another one: create_api_key';
    end if;
    return new;
end
$$;
comment on function app.guard_api_key() is 'Trigger: a key that was revoked never works again.';
create trigger guard before update on public.api_keys for each row execute function app.guard_api_key();

alter table public.api_keys enable row level security;
alter table public.api_keys force row level security;
create policy tenant on public.api_keys as restrictive to anon, authenticated
    using (organization_id = any ((select app.my_organizations())::uuid[]));
create policy read on public.api_keys for select to authenticated
    using (organization_id = any ((select app.my_organizations('{owner,staff}'))::uuid[]));
create policy add on public.api_keys for insert to authenticated
    with check (organization_id = any ((select app.my_organizations('{owner}'))::uuid[]));
create policy change on public.api_keys for update to authenticated
    using (organization_id = any ((select app.my_organizations('{owner}'))::uuid[]));
create policy remove on public.api_keys for delete to authenticated
    using (organization_id = any ((select app.my_organizations('{owner}'))::uuid[]));
create policy service on public.api_keys to service_role using (true) with check (true);
grant select (organization_id, id, name, prefix, scopes, expires_at, revoked_at, last_used_at, created_by,
              created_at, updated_at) on public.api_keys to authenticated;
grant insert (organization_id, id, name, prefix, key_hash, scopes, expires_at, created_by)
    on public.api_keys to authenticated;
grant update (name, revoked_at) on public.api_keys to authenticated;
grant delete on public.api_keys to authenticated;
grant select, insert, update, delete on public.api_keys to service_role;

create function public.create_api_key(
    p_organization_id uuid, p_name text, p_scopes text[] default '{read}', p_expires_at timestamptz default null)
    returns text
    language plpgsql volatile
    set search_path = ''
as $$
declare
    key text := app.new_secret(p_organization_id, 'wsk_');
begin
    insert into public.api_keys (organization_id, name, prefix, key_hash, scopes, expires_at, created_by)
    values (p_organization_id, p_name, left(key, 44), app.secret_hash(key), p_scopes, p_expires_at, auth.uid());
    return key;
end
$$;
comment on function public.create_api_key(uuid, text, text[], timestamptz) is
    'Make a key for programs of an organization; this is the only time it is shown.';
grant execute on function public.create_api_key(uuid, text, text[], timestamptz) to authenticated, service_role;

create function app.check_api_key(key text)
    returns table (organization_id uuid, key_id uuid, scopes text[])
    language plpgsql volatile
    set search_path = ''
as $$
#variable_conflict use_column
begin
    return query
        select k.organization_id, k.id, k.scopes
          from public.api_keys k
         where k.organization_id = app.secret_organization(key, 'wsk_') and k.key_hash = app.secret_hash(key)
           and k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp());
    -- Once a minute is enough to know which keys are in use; a write a request is not.
    update public.api_keys k
       set last_used_at = clock_timestamp()
     where k.organization_id = app.secret_organization(key, 'wsk_') and k.key_hash = app.secret_hash(key)
       and k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp())
       and (k.last_used_at is null or k.last_used_at < clock_timestamp() - interval '1 minute');
end
$$;
comment on function app.check_api_key(text) is 'Whose key this is and what it may do; no row for one that is wrong, revoked or expired.';
grant execute on function app.check_api_key(text) to service_role;

-- Devices ---------------------------------------------------------------------------------------------
create table public.devices (
    user_id uuid not null references auth.users on delete cascade,
    id uuid not null default app.uuid_v7(),
    name text not null check (length(name) between 1 and 100),
    platform text not null check (platform in ('ios', 'android', 'web')),
    push_token text check (octet_length(push_token) between 1 and 2000),
    app_version text check (length(app_version) <= 40),
    last_seen_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (user_id, id),
    unique (user_id, push_token)
);
comment on table public.devices is 'A telephone or browser of one person: where notifications go, and whose draft a draft is.';

create trigger touch before update on public.devices for each row execute function app.touch();

alter table public.devices enable row level security;
alter table public.devices force row level security;
create policy tenant on public.devices as restrictive to anon, authenticated
    using (user_id = (select auth.uid()));
create policy read on public.devices for select to authenticated using ((select auth.uid()) is not null);
create policy add on public.devices for insert to authenticated with check (user_id = (select auth.uid()));
create policy change on public.devices for update to authenticated using (user_id = (select auth.uid()));
create policy remove on public.devices for delete to authenticated using (user_id = (select auth.uid()));
create policy service on public.devices to service_role using (true) with check (true);
grant select, insert, delete on public.devices to authenticated;
grant update (name, platform, push_token, app_version, last_seen_at) on public.devices to authenticated;
grant select, insert, update, delete on public.devices to service_role;

-- What stands outside public and is reached by others than the owner -----------------------------------
alter table ops.heartbeat enable row level security;
alter table ops.heartbeat force row level security;
create policy beat on ops.heartbeat to wedsync_backup using (true) with check (true);
create policy watch on ops.heartbeat for select to service_role, wedsync_monitor using (true);
