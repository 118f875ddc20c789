-- The ground of all contestants: who may sign in, whose rows are whose, 100,000 rows of 100 people.
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role bench_gateway login noinherit;
grant anon, authenticated, service_role to bench_gateway;

create schema auth;
grant usage on schema auth to anon, authenticated, service_role;
create function auth.uid() returns uuid language sql stable parallel safe set search_path = '' as
    $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
create function auth.role() returns text language sql stable parallel safe set search_path = '' as
    $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role' $$;

-- Callers: @supabase/lite looks each one up.
create table auth.users (
    id uuid primary key,
    email text,
    role text,
    aud text,
    banned_until timestamptz,
    deleted_at timestamptz,
    raw_app_meta_data jsonb,
    raw_user_meta_data jsonb,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
insert into auth.users (id, email, role, aud)
select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, n || '@example.org', 'authenticated', 'authenticated'
  from generate_series(0, 99) n;

create table public.notes (
    id bigint generated always as identity primary key,
    owner uuid not null default auth.uid(),
    title text not null,
    body text,
    done boolean not null default false,
    created_at timestamptz not null default now()
);
insert into public.notes (owner, title, body, created_at)
select ('00000000-0000-4000-8000-' || lpad((n % 100)::text, 12, '0'))::uuid, 'Note ' || n,
       'What somebody wrote down about the day, number ' || n, timestamptz '2026-01-01' + n * interval '1 minute'
  from generate_series(1, 100000) n;
create index notes_by_owner on public.notes (owner, id desc);
alter table public.notes enable row level security;
create policy own on public.notes to authenticated
    using (owner = (select auth.uid())) with check (owner = (select auth.uid()));
grant usage on schema public to anon, authenticated, service_role;
grant select, insert, update, delete on public.notes to authenticated, service_role;
vacuum (analyze) public.notes;
