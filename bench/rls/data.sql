-- A million guests over a thousand weddings, made inside the server; run as superuser with
-- session_replication_role = replica: no trigger, no foreign key check, the rows fit all the same.
-- Settings bench.couples and bench.guests (for each couple) say how many.
create function pg_temp.id(kind text, number int) returns uuid language sql immutable as
    $$ select md5(kind || number)::uuid $$;
create function pg_temp.couples() returns int language sql stable as
    $$ select current_setting('bench.couples')::int $$;

-- A planner looks after 20 weddings; each wedding has one of seven photographers, so that one of them has 143.
insert into organizations (id, name, slug)
select pg_temp.id('planner', n), 'Planner ' || n, 'planner-' || n from generate_series(1, pg_temp.couples() / 20) n
union all
select pg_temp.id('photographer', n), 'Photographer ' || n, 'photographer-' || n from generate_series(1, 7) n;
insert into suppliers (organization_id, id, name, category)
select pg_temp.id('photographer', n), pg_temp.id('supplier', n), 'Photographer ' || n, 'photographer'
  from generate_series(1, 7) n;
insert into auth.users (id, email)
select pg_temp.id(kind, n), kind || n || '@example.org'
  from unnest(array['planner-user', 'photographer-user', 'partner']) kind, generate_series(1, pg_temp.couples()) n;
insert into organization_members (organization_id, user_id, role)
select pg_temp.id('planner', n), pg_temp.id('planner-user', n), 'staff'
  from generate_series(1, pg_temp.couples() / 20) n
union all
select pg_temp.id('photographer', n), pg_temp.id('photographer-user', n), 'staff' from generate_series(1, 7) n;

insert into couples (id, organization_id, partner_one_name, partner_two_name, wedding_date, time_zone)
select pg_temp.id('couple', n), pg_temp.id('planner', (n - 1) / 20 + 1), 'Alex ' || n, 'Sam ' || n,
       current_date + n % 365, 'Europe/London'
  from generate_series(1, pg_temp.couples()) n;
insert into couple_members (couple_id, user_id, role)
select pg_temp.id('couple', n), pg_temp.id('partner', n), 'partner' from generate_series(1, pg_temp.couples()) n;
insert into connections (couple_id, organization_id, supplier_id, status)
select pg_temp.id('couple', n), pg_temp.id('photographer', n % 7 + 1), pg_temp.id('supplier', n % 7 + 1),
       'active'
  from generate_series(1, pg_temp.couples()) n;

insert into households (couple_id, id, name)
select pg_temp.id('couple', n), pg_temp.id('household' || n || '-', h), 'Household ' || h
  from generate_series(1, pg_temp.couples()) n,
       generate_series(1, current_setting('bench.guests')::int * 2 / 5) h;
insert into guests (couple_id, id, household_id, first_name, last_name, side, is_child, rsvp_status, dietary_notes)
select pg_temp.id('couple', n), gen_random_uuid(), pg_temp.id('household' || n || '-', g * 2 / 5 + 1),
       'Guest ' || g, 'Name ' || (g * 7919) % 1000, (array['partner_one', 'partner_two', 'both'])[g % 3 + 1], g % 9 = 0,
       (array['pending', 'accepted', 'accepted', 'declined', 'maybe'])[g % 5 + 1],
       case when g % 10 = 0 then 'no nuts' end
  from generate_series(1, pg_temp.couples()) n, generate_series(1, current_setting('bench.guests')::int - 1) g;
insert into guests (couple_id, id, first_name, last_name)   -- and one without a household
select pg_temp.id('couple', n), gen_random_uuid(), 'Alone', 'Name' from generate_series(1, pg_temp.couples()) n;

insert into core_field_values (couple_id, field_key, value)
select pg_temp.id('couple', n), key, case kind when 'integer' then to_jsonb(n % 90) else to_jsonb('value ' || n) end
  from generate_series(1, pg_temp.couples()) n, core_field_definitions;
insert into tasks (couple_id, title, due_on)
select pg_temp.id('couple', n), 'Task ' || t, current_date + t
  from generate_series(1, pg_temp.couples()) n, generate_series(1, 20) t;
insert into message_threads (couple_id, id, organization_id, subject)
select couple_id, couple_id, organization_id, 'The day' from connections;

insert into forms (organization_id, id, title, status)
select id, md5(slug || f)::uuid, 'Form ' || f, case when f = 5 then 'draft' else 'published' end
  from organizations, generate_series(1, 5) f;
insert into form_fields (organization_id, form_id, position, label)
select organization_id, id, f, 'Question ' || f from forms, generate_series(1, 12) f;
insert into form_submissions (couple_id, organization_id, form_id, answers, submitted_at, status)
select n.couple_id, n.organization_id, f.id, jsonb_build_object('1', 'yes', '2', repeat('words ', 20)),
       now() - interval '1 day' * (hashtext(n.couple_id::text || f.id::text) & 127),
       case when hashtext(f.id::text || n.couple_id::text) & 1 = 0 then 'reviewed' else 'submitted' end
  from connections n join forms f using (organization_id)
 where f.status = 'published';
