-- What every later file stands on: schemas, keys, the caller's claims, the heartbeat.
--
-- The roles are made with the cluster (or by hand on an adopted one): anon, authenticated, service_role,
-- wedsync_backup, wedsync_monitor, and the role that runs this, which has BYPASSRLS and owns everything.

create schema if not exists app;
create schema if not exists auth;
create schema if not exists ops;
create schema if not exists audit;

comment on schema app is 'What policies, defaults and triggers call; not shown by the data API.';
comment on schema auth is 'Users, and who the caller is.';
comment on schema ops is 'Health, maintenance, the migration ledger.';
comment on schema audit is 'Who changed what, when.';

revoke all on schema app, auth, ops, audit from public;
revoke create on schema public from public;
grant usage on schema public, app, auth to anon, authenticated, service_role;
grant usage on schema ops to service_role, wedsync_backup, wedsync_monitor;

-- A new function is nobody's until it is granted.
alter default privileges revoke execute on functions from public;

-- Keys ------------------------------------------------------------------------------------------------

create function app.uuid_v7() returns uuid
    language sql volatile parallel safe
    set search_path = ''
as $$
    -- RFC 9562: 48 bits of milliseconds, version 7, then random; so keys made later sort later.
    select encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                    from 1 for 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;
comment on function app.uuid_v7() is 'A new key that sorts by the time it was made.';
grant execute on function app.uuid_v7() to authenticated, service_role;

create function app.is_time_zone(name text) returns boolean
    language plpgsql stable
    set search_path = ''
as $$
begin
    perform now() at time zone name;
    return name ~ '^[A-Z][A-Za-z_]+(/[A-Za-z0-9_+-]+)*$';   -- a name such as Europe/London, not an offset
exception when invalid_parameter_value then
    return false;
end
$$;
comment on function app.is_time_zone(text) is 'Whether this is the name of a time zone; pg_timezone_names reads 600 files.';
grant execute on function app.is_time_zone(text) to authenticated, service_role;

create function app.touch() returns trigger
    language plpgsql
    set search_path = ''
as $$
begin
    new.updated_at := clock_timestamp();
    return new;
end
$$;
comment on function app.touch() is 'Trigger: sets updated_at of a changed row.';

-- The caller ------------------------------------------------------------------------------------------

create function auth.jwt() returns jsonb
    language sql stable parallel safe
    set search_path = ''
as $$
    -- A setting that was once set and is reset reads '', not NULL.
    select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;
comment on function auth.jwt() is 'The claims of the caller''s token; NULL without one.';

create function auth.uid() returns uuid
    language sql stable parallel safe
    set search_path = ''
as $$
    select nullif(auth.jwt() ->> 'sub', '')::uuid
$$;
comment on function auth.uid() is 'The caller''s user id; NULL when nobody is signed in.';

create function auth.role() returns text
    language sql stable parallel safe
    set search_path = ''
as $$
    select nullif(auth.jwt() ->> 'role', '')
$$;
comment on function auth.role() is 'The role the caller''s token names; NULL without a token.';

grant execute on function auth.jwt(), auth.uid(), auth.role() to anon, authenticated, service_role;

-- The heartbeat ---------------------------------------------------------------------------------------

-- A keeper that started before this file has made it already. Few rows a page: each beat is an update in place.
create table if not exists ops.heartbeat (
    id smallint primary key default 1 check (id = 1),
    beat_at timestamptz not null
) with (fillfactor = 10);
comment on table ops.heartbeat is 'One row; the keeper commits to it so that the recovery window of an idle database moves on.';
insert into ops.heartbeat (id, beat_at) values (1, now()) on conflict (id) do nothing;
grant select, update on ops.heartbeat to wedsync_backup;
grant select on ops.heartbeat to service_role, wedsync_monitor;
