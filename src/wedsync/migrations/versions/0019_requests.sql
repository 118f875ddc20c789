-- depends: 0015_policy_functions, 0013_operations
-- Requests that are done once however often they come, and programs that act with a key of their organization.
--
-- A write over HTTP may name itself (Idempotency-Key). Its answer is kept in the transaction that does it: whoever
-- lost the answer asks again and gets the same one, and nothing is done twice.

create table ops.requests (
    caller text not null check (length(caller) between 1 and 200),
    key text not null check (length(key) between 1 and 255),
    digest bytea not null check (length(digest) = 32),
    answer bytea,
    created_at timestamptz not null default now(),
    primary key (caller, key)
);
comment on table ops.requests is 'Writes over HTTP that named themselves, with their answers, for a day.';
comment on column ops.requests.caller is 'The person or key that wrote, else the role: each has names of its own.';
comment on column ops.requests.digest is 'SHA-256 of method, address and body: a name stands for one request.';
comment on column ops.requests.answer is 'What the statements gave; NULL only while the write is under way.';
create index requests_by_age on ops.requests (created_at);
alter table ops.requests enable row level security, force row level security;
revoke all on ops.requests from anon, authenticated, service_role;

create function app.request_caller() returns text
    language plpgsql stable
    set search_path = ''
as $$
declare
    claims constant jsonb := auth.jwt();
begin
    return coalesce('user ' || (claims ->> 'sub'), 'role ' || auth.role());
end
$$;
comment on function app.request_caller() is 'Under whose name a request is kept.';

create function app.begin_request(key text, digest bytea) returns bytea
    language plpgsql volatile security definer
    set search_path = ''
    set lock_timeout = '5s'
as $$
#variable_conflict use_variable
declare
    me constant text := app.request_caller();
    kept ops.requests;
begin
    -- The same request at the same time waits here until the first has ended.
    insert into ops.requests (caller, key, digest) values (me, key, digest) on conflict do nothing;
    if found then
        return null;
    end if;
    select * into kept from ops.requests r where r.caller = me and r.key = begin_request.key;
    if kept.digest is distinct from digest then
        raise exception 'this Idempotency-Key was used for another request'
            using errcode = 'PT422', hint = 'a key names one request: make a new one for each';
    end if;
    return kept.answer;
exception when lock_not_available then
    raise exception 'the same request is under way' using errcode = 'PT409', hint = 'ask again in some seconds';
end
$$;
comment on function app.begin_request(text, bytea) is
    'Take a name for the write that follows; gives the answer if it was done before, else NULL.';

create function app.end_request(key text, answer bytea) returns void
    language sql volatile security definer
    set search_path = ''
as $$
    update ops.requests r set answer = end_request.answer
     where r.caller = app.request_caller() and r.key = end_request.key and r.answer is null
$$;
comment on function app.end_request(text, bytea) is 'Keep the answer of the write that was begun in this transaction.';

-- Not to anon: all who come without a token would share their names, and with them the answers.
grant execute on function app.begin_request(text, bytea), app.end_request(text, bytea) to authenticated, service_role;

create function ops.prune_requests() returns void
    language sql volatile
    set search_path = ''
as $$
    delete from ops.requests where created_at < now() - interval '24 hours'
$$;
comment on function ops.prune_requests() is 'Routine: forgets requests after a day.';
insert into ops.routines (name, every) values ('prune_requests', interval '10 minutes');

-- Programs --------------------------------------------------------------------------------------------
-- The gateway puts the checked key of an organization (app.check_api_key) into the claims, with the key's id in the
-- place of a person's. It acts as staff of this organization if it may write, else as a viewer; what is about money
-- needs its own scope.

create function app.key_allows(scope text) returns boolean
    language plpgsql stable parallel safe
    set search_path = ''
as $$
declare
    key constant jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb -> 'api_key';
begin
    return key is null or coalesce(key -> 'scopes' ? scope, false);
end
$$;
comment on function app.key_allows(text) is 'Whether the caller is a person, or a program whose key has this scope.';
grant execute on function app.key_allows(text) to authenticated, service_role;

create or replace function app.my_organizations(roles text[] default '{owner,staff,viewer}') returns uuid[]
    language plpgsql stable security definer
    set search_path = ''
as $$
declare
    claims constant jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
    caller constant uuid := nullif(claims ->> 'sub', '')::uuid;
    acts_as text;
begin
    if claims -> 'api_key' is not null then
        acts_as := case when app.key_allows('write') then 'staff' else 'viewer' end;
        return case when acts_as = any (roles) then array[(claims #>> '{api_key,organization_id}')::uuid] else '{}' end;
    end if;
    return (select coalesce(array_agg(m.organization_id), '{}')
              from public.organization_members m
             where m.user_id = caller and m.role = any (roles));
end
$$;

create policy key_scope on public.invoices as restrictive to authenticated
    using ((select app.key_allows('money'))) with check ((select app.key_allows('money')));
create policy key_scope on public.payments as restrictive to authenticated
    using ((select app.key_allows('money'))) with check ((select app.key_allows('money')));
create policy key_scope on public.webhook_events as restrictive to authenticated
    using ((select app.key_allows('webhooks'))) with check ((select app.key_allows('webhooks')));

-- A job that is not there is "not found" over HTTP, no failure of the server.
create or replace function public.get_job(job_id integer) returns jsonb
    language plpgsql stable security definer
    set search_path = ''
as $$
declare
    answer jsonb;
begin
    select jsonb_build_object(
        'id', j.id, 'kind', j.kind, 'target', j.target, 'status', j.state, 'attempts', j.attempts,
        'requested_by', j.requested_by, 'requested_at', j.requested_at, 'started_at', j.started_at,
        'finished_at', j.finished_at, 'not_before', j.not_before, 'result', j.result, 'error', j.error)
      into answer from ops.jobs j where j.id = job_id;
    if not found then
        raise exception 'there is no job %', job_id using errcode = 'PT404';
    end if;
    return answer;
end
$$;
