-- depends: 0011_audit, 0013_operations, 0015_policy_functions
-- Signing in: sessions and their refresh tokens, one-time tokens, second factors, failures, letters.
--
-- Everything of a person carries user_id, so that it goes with the account. Nothing that opens a door is kept in
-- clear: random tokens as SHA-256, six-digit codes as HMAC with a key of the home, secrets of factors encrypted.
-- A letter holds its link until it was delivered, then not any more.

alter table auth.users
    add column invited_at timestamptz,
    add column confirmation_sent_at timestamptz,
    add column recovery_sent_at timestamptz,
    add column reauthentication_sent_at timestamptz,
    add column email_change text constraint users_email_change check (length(email_change) <= 320),
    add column email_change_sent_at timestamptz,
    add column email_change_confirmed smallint not null default 0
        constraint users_email_change_confirmed check (email_change_confirmed between 0 and 3),
    add column deleted_at timestamptz;
comment on column auth.users.email_change is 'The address that the person wants from now on, until it is confirmed.';
comment on column auth.users.email_change_confirmed is 'Which letters about the change were answered: 1 to the present address, 2 to the new one.';
comment on column auth.users.deleted_at is 'When an administrator closed the account and kept its row; nothing in it tells who it was.';

-- Sessions --------------------------------------------------------------------------------------------

create table auth.sessions (
    id uuid primary key default app.uuid_v7(),
    user_id uuid not null references auth.users on delete cascade,
    aal text not null default 'aal1' check (aal in ('aal1', 'aal2')),
    amr jsonb not null default '[]' check (jsonb_typeof(amr) = 'array'),
    user_agent text check (length(user_agent) <= 500),
    ip inet,
    not_after timestamptz,
    refreshed_at timestamptz not null default clock_timestamp(),
    created_at timestamptz not null default clock_timestamp()
);
comment on table auth.sessions is 'A sign-in of a person on a device: lives as long as its refresh tokens are used.';
comment on column auth.sessions.aal is 'How sure: aal1 by one factor, aal2 by two.';
comment on column auth.sessions.amr is 'How the person signed in and when: [{"method", "timestamp"}], newest first.';
comment on column auth.sessions.not_after is 'Ends then, whatever is refreshed; NULL: not by itself.';
create index sessions_by_user on auth.sessions (user_id);

create table auth.refresh_tokens (
    id uuid primary key default app.uuid_v7(),
    user_id uuid not null references auth.users on delete cascade,
    session_id uuid not null references auth.sessions on delete cascade,
    token_hash bytea not null unique check (length(token_hash) = 32),
    used_at timestamptz,
    created_at timestamptz not null default clock_timestamp()
);
comment on table auth.refresh_tokens is 'Each is good once. One that is used again later than a moment after ends its session.';
comment on column auth.refresh_tokens.token_hash is 'SHA-256: the token is random, 256 bits.';
create index refresh_tokens_by_user on auth.refresh_tokens (user_id);
create index refresh_tokens_by_session on auth.refresh_tokens (session_id);

-- What is sent once -----------------------------------------------------------------------------------

create table auth.one_time_tokens (
    id uuid primary key default app.uuid_v7(),
    user_id uuid not null references auth.users on delete cascade,
    purpose text not null check (purpose in (
        'signup', 'invite', 'magiclink', 'recovery', 'email_change_current', 'email_change_new', 'reauthentication')),
    email text not null check (length(email) <= 320),
    link_token_hash bytea not null unique check (length(link_token_hash) = 32),
    code_hash bytea not null check (length(code_hash) = 32),
    wrong_codes smallint not null default 0 check (wrong_codes between 0 and 5),
    code_challenge text check (length(code_challenge) between 43 and 128),
    code_challenge_method text check (code_challenge_method in ('plain', 's256')),
    expires_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint one_time_tokens_one_each unique (user_id, purpose)
);
comment on table auth.one_time_tokens is 'What a letter asks to be shown: a link and a code, either of them, once.';
comment on column auth.one_time_tokens.email is 'Where it was sent; a code counts together with the address.';
comment on column auth.one_time_tokens.code_hash is 'HMAC-SHA-256 of address and code with a key of the home: six digits have no secret of their own.';
comment on column auth.one_time_tokens.wrong_codes is 'After five there is no sixth try.';
comment on column auth.one_time_tokens.code_challenge is 'PKCE: only the device that asked for the letter gets the session.';

create table auth.authorization_codes (
    id uuid primary key default app.uuid_v7(),
    user_id uuid not null references auth.users on delete cascade,
    auth_code_hash bytea not null unique check (length(auth_code_hash) = 32),
    method text not null,
    code_challenge text not null,
    code_challenge_method text not null,
    expires_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table auth.authorization_codes is 'PKCE (RFC 7636): what a followed link gives, to be changed into a session by who knows the verifier.';
create index authorization_codes_by_user on auth.authorization_codes (user_id);

-- Second factors --------------------------------------------------------------------------------------

create table auth.mfa_factors (
    id uuid primary key default app.uuid_v7(),
    user_id uuid not null references auth.users on delete cascade,
    friendly_name text not null default '' check (length(friendly_name) <= 100),
    factor_type text not null check (factor_type in ('totp')),
    status text not null default 'unverified' check (status in ('unverified', 'verified')),
    secret_ciphertext bytea not null,
    last_step bigint,
    last_challenged_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp()
);
comment on table auth.mfa_factors is 'What a person has besides a password: an app that shows codes (RFC 6238).';
comment on column auth.mfa_factors.secret_ciphertext is 'AES-256-GCM with a key of the home, bound to the id of the factor.';
comment on column auth.mfa_factors.last_step is 'Half minute of the last code that was taken: none is taken twice.';
create unique index mfa_factors_by_name on auth.mfa_factors (user_id, friendly_name) where friendly_name <> '';
create index mfa_factors_by_user on auth.mfa_factors (user_id);
create trigger touch before update on auth.mfa_factors for each row execute function app.touch();

create table auth.mfa_challenges (
    id uuid primary key default app.uuid_v7(),
    user_id uuid not null references auth.users on delete cascade,
    factor_id uuid not null references auth.mfa_factors on delete cascade,
    wrong_codes smallint not null default 0 check (wrong_codes between 0 and 5),
    expires_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table auth.mfa_challenges is 'A question for a code, answered once within minutes.';
create index mfa_challenges_by_user on auth.mfa_challenges (user_id);
create index mfa_challenges_by_factor on auth.mfa_challenges (factor_id);

-- Failures and letters --------------------------------------------------------------------------------

create table auth.throttles (
    subject bytea primary key check (length(subject) = 32),
    hits integer not null check (hits > 0),
    last_at timestamptz not null,
    blocked_until timestamptz
);
comment on table auth.throttles is 'Failed sign-ins and letters by account and by network address, whether or not such an account exists.';
comment on column auth.throttles.subject is 'HMAC-SHA-256 of what is counted with a key of the home; gone a day after the last hit.';

create table auth.letters (
    id uuid primary key default app.uuid_v7(),
    user_id uuid not null references auth.users on delete cascade,
    recipient text not null check (length(recipient) <= 320),
    kind text not null,
    content jsonb,
    tries smallint not null default 0,
    not_before timestamptz not null default clock_timestamp(),
    delivered_at timestamptz,
    given_up_at timestamptz,
    error text,
    created_at timestamptz not null default clock_timestamp()
);
comment on table auth.letters is 'E-mail on its way: written in the transaction that makes it due, delivered by the gateway.';
comment on column auth.letters.content is 'What the letter says, its link included; emptied when it was delivered or given up.';
comment on column auth.letters.not_before is 'Taken up then; whoever takes it up puts it off, so that two do not send it.';
create index letters_by_user on auth.letters (user_id);
create index letters_due on auth.letters (not_before) where delivered_at is null and given_up_at is null;

-- Who may what: the sign-in service everything, others nothing ---------------------------------------

do $$
declare
    name text;
begin
    foreach name in array array[
        'sessions', 'refresh_tokens', 'one_time_tokens', 'authorization_codes', 'mfa_factors', 'mfa_challenges', 'letters']
    loop
        execute format($sql$
            alter table auth.%1$I enable row level security;
            alter table auth.%1$I force row level security;
            create policy tenant on auth.%1$I as restrictive to anon, authenticated using (user_id = (select auth.uid()));
            create policy service on auth.%1$I to service_role using (true) with check (true);
            grant select, insert, update, delete on auth.%1$I to service_role;
        $sql$, name);
    end loop;
end
$$;
alter table auth.throttles enable row level security;
alter table auth.throttles force row level security;
create policy tenant on auth.throttles as restrictive to anon, authenticated using (false);
create policy service on auth.throttles to service_role using (true) with check (true);
grant select, insert, update, delete on auth.throttles to service_role;

select audit.watch('auth.sessions');
select audit.watch('auth.refresh_tokens');
select audit.watch('auth.one_time_tokens', '{link_token_hash,code_hash,code_challenge}');
select audit.watch('auth.authorization_codes', '{auth_code_hash,code_challenge}');
select audit.watch('auth.mfa_factors');
select audit.watch('auth.mfa_challenges');
select audit.watch('auth.throttles');
select audit.watch('auth.letters', '{content}');
-- The columns of a watched table are listed when it is watched.
select audit.watch('auth.users');

-- An account as clients see it ------------------------------------------------------------------------

create function auth.account(u auth.users) returns jsonb
    language sql stable
    set search_path = ''
as $$
    select jsonb_strip_nulls(jsonb_build_object(
               'id', u.id, 'aud', 'authenticated', 'role', 'authenticated',
               'email', coalesce(u.email, ''), 'phone', coalesce(u.phone, ''),
               'email_confirmed_at', u.email_confirmed_at, 'phone_confirmed_at', u.phone_confirmed_at,
               'confirmed_at', least(u.email_confirmed_at, u.phone_confirmed_at),
               'invited_at', u.invited_at, 'confirmation_sent_at', u.confirmation_sent_at,
               'recovery_sent_at', u.recovery_sent_at, 'reauthentication_sent_at', u.reauthentication_sent_at,
               'new_email', u.email_change, 'email_change_sent_at', u.email_change_sent_at,
               'last_sign_in_at', u.last_sign_in_at, 'banned_until', u.banned_until, 'deleted_at', u.deleted_at,
               'is_anonymous', u.is_anonymous, 'created_at', u.created_at, 'updated_at', u.updated_at))
           || jsonb_build_object(
               'app_metadata', u.raw_app_meta_data, 'user_metadata', u.raw_user_meta_data,
               'factors', (select coalesce(jsonb_agg(jsonb_build_object(
                                      'id', f.id, 'friendly_name', f.friendly_name, 'factor_type', f.factor_type,
                                      'status', f.status, 'created_at', f.created_at, 'updated_at', f.updated_at)
                                      order by f.created_at), '[]')
                             from auth.mfa_factors f where f.user_id = u.id),
               'identities', case when u.email is null then '[]'::jsonb else jsonb_build_array(jsonb_build_object(
                   'identity_id', u.id, 'id', u.id, 'user_id', u.id, 'provider', 'email', 'email', u.email,
                   'identity_data', jsonb_build_object(
                       'sub', u.id, 'email', u.email, 'email_verified', u.email_confirmed_at is not null,
                       'phone_verified', false),
                   'last_sign_in_at', u.last_sign_in_at, 'created_at', u.created_at, 'updated_at', u.updated_at)) end)
$$;
comment on function auth.account(auth.users) is 'An account in the words of the sign-in protocol; no secrets.';

create function auth.session_facts(s auth.sessions) returns jsonb
    language sql stable
    set search_path = ''
as $$
    select jsonb_build_object(
        'id', s.id, 'user_id', s.user_id, 'aal', s.aal, 'amr', s.amr, 'created_at', s.created_at)
$$;
comment on function auth.session_facts(auth.sessions) is 'What a token says about its session.';

create function auth.rotate_refresh_token(given bytea, successor bytea, grace interval, idle interval) returns jsonb
    language plpgsql volatile
    set search_path = ''
as $$
-- `successor` is made from the token itself with a key of the home, so whoever lost the answer and asks again within
-- `grace` gets the same one: nothing is rotated twice, and nothing is kept in clear.
declare
    session auth.sessions;
    token auth.refresh_tokens;
    person auth.users;
    at constant timestamptz := clock_timestamp();
begin
    -- The session first, as everybody who ends one does.
    select s.* into session from auth.sessions s
      join auth.refresh_tokens t on t.session_id = s.id where t.token_hash = given for update of s;
    select * into token from auth.refresh_tokens t where t.token_hash = given for update;
    if session.id is null or token.id is null then
        return '{"outcome": "unknown"}';
    end if;
    select * into person from auth.users u where u.id = session.user_id;
    if person.banned_until > at then
        return '{"outcome": "banned"}';
    elsif session.not_after <= at or session.refreshed_at + idle <= at then
        delete from auth.sessions where id = session.id;
        return '{"outcome": "expired"}';
    elsif token.used_at is null then
        update auth.refresh_tokens set used_at = at where id = token.id;
        insert into auth.refresh_tokens (user_id, session_id, token_hash) values (token.user_id, session.id, successor);
        update auth.sessions set refreshed_at = at where id = session.id;
    elsif at - token.used_at > grace or token.used_at - at > grace
        or not exists (select from auth.refresh_tokens t where t.token_hash = successor and t.session_id = session.id)
    then
        delete from auth.sessions where id = session.id;
        return jsonb_build_object('outcome', 'reused', 'session_id', session.id, 'user_id', session.user_id);
    end if;
    return jsonb_build_object(
        'outcome', 'rotated', 'session', auth.session_facts(session), 'account', auth.account(person));
end
$$;
comment on function auth.rotate_refresh_token(bytea, bytea, interval, interval) is
    'Uses a refresh token up and puts its successor in its place; one that was used before ends its session.';

create function auth.check_code(given_email text, purposes text[], given_code_hash bytea) returns auth.one_time_tokens
    language plpgsql volatile
    set search_path = ''
as $$
declare
    token auth.one_time_tokens;
begin
    delete from auth.one_time_tokens t
     where lower(t.email) = lower(given_email) and t.purpose = any (purposes) and t.code_hash = given_code_hash
       and t.expires_at > clock_timestamp() and t.wrong_codes < 5
    returning * into token;
    if token.id is null then
        update auth.one_time_tokens t set wrong_codes = t.wrong_codes + 1
         where lower(t.email) = lower(given_email) and t.purpose = any (purposes) and t.wrong_codes < 5;
    end if;
    return token;
end
$$;
comment on function auth.check_code(text, text[], bytea) is 'Uses up the token that a code belongs to; a wrong code is counted.';
create index one_time_tokens_by_email on auth.one_time_tokens (lower(email));

create function auth.open_session(person uuid, method text, opening jsonb) returns jsonb
    language plpgsql volatile
    set search_path = ''
as $$
-- `opening`: {"id", "token_hash", "user_agent", "ip", "lasts_s"}, made by the sign-in service.
declare
    session auth.sessions;
    found_person auth.users;
begin
    insert into auth.sessions (id, user_id, amr, user_agent, ip, not_after)
    values ((opening ->> 'id')::uuid, person,
            jsonb_build_array(jsonb_build_object(
                'method', method, 'timestamp', floor(extract(epoch from clock_timestamp()))::bigint)),
            opening ->> 'user_agent', (opening ->> 'ip')::inet,
            clock_timestamp() + make_interval(secs => (opening ->> 'lasts_s')::double precision))
    returning * into session;
    insert into auth.refresh_tokens (user_id, session_id, token_hash)
    values (person, session.id, decode(opening ->> 'token_hash', 'hex'));
    update auth.users u set last_sign_in_at = clock_timestamp() where u.id = person returning * into found_person;
    return jsonb_build_object(
        'outcome', 'done', 'session', auth.session_facts(session), 'account', auth.account(found_person));
end
$$;
comment on function auth.open_session(uuid, text, jsonb) is 'Begins a session with its first refresh token.';

create function auth.redeem(
    purposes text[], link_hash bytea, given_email text, given_code_hash bytea, new_auth_code_hash bytea,
    both_addresses boolean, opening jsonb) returns jsonb
    language plpgsql volatile
    set search_path = ''
as $$
-- By the link's token, or by address and code.
declare
    token auth.one_time_tokens;
    person auth.users;
    confirmed smallint;
begin
    if link_hash is not null then
        delete from auth.one_time_tokens t
         where t.link_token_hash = link_hash and t.purpose = any (purposes) and t.expires_at > clock_timestamp()
           and t.wrong_codes < 5
        returning * into token;
    else
        token := auth.check_code(given_email, purposes, given_code_hash);
    end if;
    select * into person from auth.users u where u.id = token.user_id for update;
    if person.id is null
        -- A letter to an address that is not the account's any more opens nothing.
        or lower(token.email) is distinct from lower(
            case token.purpose when 'email_change_new' then person.email_change else person.email end)
    then
        return '{"outcome": "unknown"}';
    elsif person.banned_until > clock_timestamp() then
        return '{"outcome": "banned"}';
    end if;
    if token.purpose in ('email_change_current', 'email_change_new') then
        confirmed := person.email_change_confirmed | case token.purpose when 'email_change_new' then 2 else 1 end;
        if person.email_change is null then
            return '{"outcome": "unknown"}';
        elsif both_addresses and person.email is not null and confirmed <> 3 then
            update auth.users u set email_change_confirmed = confirmed where u.id = person.id;
            return '{"outcome": "half"}';
        end if;
        update auth.users u
           set email = u.email_change, email_change = null, email_change_confirmed = 0, is_anonymous = false,
               email_confirmed_at = clock_timestamp()
         where u.id = person.id;
        delete from auth.one_time_tokens t where t.user_id = person.id;
    elsif person.email_confirmed_at is null then
        update auth.users u
           set email_confirmed_at = clock_timestamp(),
               -- Whoever shows to own the address was not the one who chose the password, unless by sign-up.
               encrypted_password = case token.purpose when 'signup' then u.encrypted_password end
         where u.id = person.id;
    end if;
    if token.code_challenge is not null and new_auth_code_hash is not null then
        insert into auth.authorization_codes
            (user_id, auth_code_hash, method, code_challenge, code_challenge_method, expires_at)
        values (person.id, new_auth_code_hash, token.purpose, token.code_challenge, token.code_challenge_method,
                clock_timestamp() + interval '5 minutes');
        return '{"outcome": "code"}';
    end if;
    return auth.open_session(person.id, 'otp', opening);
end
$$;
comment on function auth.redeem(text[], bytea, text, bytea, bytea, boolean, jsonb) is
    'Uses up what a letter asked to be shown: confirms the address, and begins a session or gives a code for one.';

create function auth.exchange_code(code_hash bytea, plain text, s256 text, opening jsonb) returns jsonb
    language plpgsql volatile
    set search_path = ''
as $$
declare
    code auth.authorization_codes;
begin
    delete from auth.authorization_codes c
     where c.auth_code_hash = code_hash and c.expires_at > clock_timestamp() returning * into code;
    if code.id is null then
        return '{"outcome": "unknown"}';
    elsif code.code_challenge <> (case code.code_challenge_method when 'plain' then plain else s256 end) then
        return '{"outcome": "wrong_verifier"}';
    elsif exists (select from auth.users u where u.id = code.user_id and u.banned_until > clock_timestamp()) then
        return '{"outcome": "banned"}';
    end if;
    return auth.open_session(code.user_id, 'otp', opening);
end
$$;
comment on function auth.exchange_code(bytea, text, text, jsonb) is
    'A session for a code and its verifier; a code is gone after the first try, right or wrong.';

create function auth.accept_factor(
    factor uuid, challenge uuid, person uuid, session_id uuid, step bigint, token_hash bytea) returns jsonb
    language plpgsql volatile
    set search_path = ''
as $$
declare
    session auth.sessions;
    account jsonb;
begin
    perform from auth.sessions s where s.user_id = person for update;
    delete from auth.mfa_challenges c
     where c.id = challenge and c.factor_id = factor and c.user_id = person and c.expires_at > clock_timestamp();
    if not found then
        return '{"outcome": "unknown"}';
    end if;
    update auth.mfa_factors f set status = 'verified', last_step = step
     where f.id = factor and f.user_id = person and (f.last_step is null or f.last_step < step);
    if not found then
        return '{"outcome": "replayed"}';
    end if;
    update auth.sessions s
       set aal = 'aal2', refreshed_at = clock_timestamp(),
           amr = jsonb_build_array(jsonb_build_object(
                     'method', 'totp', 'timestamp', floor(extract(epoch from clock_timestamp()))::bigint)) || s.amr
     where s.id = session_id and s.user_id = person
    returning * into session;
    if session.id is null then
        return '{"outcome": "unknown"}';
    end if;
    -- From now on two factors are asked for: sessions that showed one only are over.
    delete from auth.sessions s where s.user_id = person and s.aal = 'aal1';
    delete from auth.refresh_tokens t where t.session_id = session.id;
    insert into auth.refresh_tokens (user_id, session_id, token_hash) values (person, session.id, token_hash);
    select auth.account(u) into account from auth.users u where u.id = person;
    return jsonb_build_object('outcome', 'done', 'session', auth.session_facts(session), 'account', account);
end
$$;
comment on function auth.accept_factor(uuid, uuid, uuid, uuid, bigint, bytea) is
    'A right code was shown: the factor counts, the session has two factors, others with one end.';

create function auth.hit(given_subject bytea, free integer, first_pause interval, longest_pause interval) returns interval
    language plpgsql volatile
    set search_path = ''
as $$
declare
    at constant timestamptz := clock_timestamp();
    until timestamptz;
begin
    insert into auth.throttles as t (subject, hits, last_at) values (given_subject, 1, at)
    on conflict (subject) do update
       set hits = case when t.last_at < at - interval '1 day' then 1 else t.hits + 1 end, last_at = at;
    update auth.throttles t
       set blocked_until = at + least(longest_pause, first_pause * 2 ^ least(t.hits - free, 20))
     where t.subject = given_subject and t.hits >= free
    returning blocked_until into until;
    return until - at;
end
$$;
comment on function auth.hit(bytea, integer, interval, interval) is
    'Counts a failure; from the `free`-th on gives the pause until the next try, twice as long each time.';

create function ops.prune_sign_in() returns void
    language plpgsql
    set search_path = ''
as $$
begin
    delete from auth.sessions where not_after < now() or refreshed_at < now() - interval '400 days';
    delete from auth.refresh_tokens t where t.used_at < now() - interval '30 days';
    delete from auth.one_time_tokens where expires_at < now() - interval '1 day';
    delete from auth.authorization_codes where expires_at < now();
    delete from auth.mfa_challenges where expires_at < now();
    delete from auth.mfa_factors where status = 'unverified' and created_at < now() - interval '1 day';
    delete from auth.throttles where last_at < now() - interval '1 day' and (blocked_until is null or blocked_until < now());
    delete from auth.letters where coalesce(delivered_at, given_up_at) < now() - interval '30 days';
end
$$;
comment on function ops.prune_sign_in() is 'Routine: takes away what has expired of sessions, tokens, factors, failures and letters.';
insert into ops.routines (name, every) values ('prune_sign_in', interval '1 hour');

grant execute on function
    auth.account(auth.users), auth.session_facts(auth.sessions),
    auth.rotate_refresh_token(bytea, bytea, interval, interval), auth.check_code(text, text[], bytea),
    auth.open_session(uuid, text, jsonb), auth.redeem(text[], bytea, text, bytea, bytea, boolean, jsonb),
    auth.exchange_code(bytea, text, text, jsonb), auth.accept_factor(uuid, uuid, uuid, uuid, bigint, bytea),
    auth.hit(bytea, integer, interval, interval)
    to service_role;
