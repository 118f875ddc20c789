-- name: lock
-- One load test at a time: a second one would measure the first.
select pg_try_advisory_lock(%(key)s);

-- name: partners
-- People of the season who plan a wedding: the same ones each time.
select m.user_id::text as user_id, m.couple_id::text as couple_id
  from public.couple_members m
  join auth.users u on u.id = m.user_id
 where m.role = 'partner'
 order by md5(m.user_id::text), m.couple_id
 limit %(most)s;

-- name: suppliers
-- People of businesses, with how they see weddings.
select m.user_id::text as user_id, m.organization_id::text as organization_id
  from public.organization_members m
  join auth.users u on u.id = m.user_id
 where exists (select from public.connections n where n.organization_id = m.organization_id and n.status = 'active')
 order by md5(m.user_id::text), m.organization_id
 limit %(most)s;

-- name: today
select current_date;

-- name: add_business
-- The load test's own tenant: its slug is the mark by which it is found again and removed.
with business as (
    insert into public.organizations (name, slug) values ('Load test', %(slug)s) returning id
), supplier as (
    insert into public.suppliers (organization_id, name, category)
    select id, 'Load test', 'photographer' from business returning organization_id, id
), form as (
    insert into public.forms (organization_id, title, status)
    select id, 'Form ' || n, 'published' from business, generate_series(1, 4) n returning organization_id, id
), field as (
    insert into public.form_fields (organization_id, form_id, position, label)
    select organization_id, id, n, 'Question ' || n from form, generate_series(1, 12) n
)
select organization_id::text as organization_id, id::text as supplier_id from supplier;

-- name: add_wedding
-- A wedding of that tenant for somebody of the season, with core fields and guests; gives its id.
with wedding as (
    insert into public.couples (organization_id, partner_one_name, partner_two_name, wedding_date, time_zone)
    values (%(organization_id)s, 'Load', 'Test', current_date + 200, 'Europe/London') returning id
), member as (
    insert into public.couple_members (couple_id, user_id, role) select id, %(user_id)s, 'partner' from wedding
), connected as (
    insert into public.connections (couple_id, organization_id, supplier_id, status)
    select id, %(organization_id)s, %(supplier_id)s, 'active' from wedding
), core as (
    insert into public.core_field_values (couple_id, field_key, value)
    select id, 'guest_count', '100' from wedding
)
select id::text from wedding;

-- name: fill_wedding
-- 200 guests in 50 groups of twelve, half of the groups at overlapping times.
with guest as (
    insert into public.guests (couple_id, first_name, last_name)
    select %(couple_id)s, 'Guest ' || n, 'Load test' from generate_series(1, 200) n returning id
), numbered as (
    select id, row_number() over (order by id) as n from guest
), photo_group as (
    insert into public.photo_groups (couple_id, name, estimated_duration, scheduled_start)
    select %(couple_id)s, 'Group ' || n, 5 + n %% 6, (current_date + 200 + time '14:00') at time zone 'Europe/London'
           + n * interval '4 minutes'
      from generate_series(1, 50) n returning id, (substring(name from 7))::int as n
)
insert into public.photo_group_members (couple_id, photo_group_id, guest_id)
select %(couple_id)s, p.id, g.id
  from photo_group p join numbered g on (g.n + p.n * 7) %% 200 < 12;

-- name: remove_weddings
delete from public.couples
 where organization_id in (select id from public.organizations where starts_with(slug, %(slug)s));

-- name: remove_business
delete from public.organizations where starts_with(slug, %(slug)s);
