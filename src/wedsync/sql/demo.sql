-- name: schema_exists
select to_regclass('public.messages') is not null and to_regproc('audit.begin_load') is not null;

-- name: create_marker
create table if not exists ops.demo_loads (
    id smallint primary key default 1 check (id = 1),
    seed bigint not null,
    size double precision not null,
    season_of date not null,
    rows jsonb not null,
    took_s double precision not null,
    loaded_at timestamptz not null default clock_timestamp()
);
comment on table ops.demo_loads is 'One row once the demo season is loaded, in the same transaction as the season.';

-- name: one_at_a_time
-- Waits for another process of the demo to end its transaction; released with the transaction.
select pg_advisory_xact_lock(%(key)s);

-- name: read_marker
select seed, size, rows, took_s from ops.demo_loads;

-- name: write_marker
insert into ops.demo_loads (seed, size, season_of, rows, took_s)
values (%(seed)s, %(size)s, %(season_of)s, %(rows)s, %(took_s)s);

-- name: first_couples
select count(*) from (select from public.couples limit 1000) as couples;

-- name: today
select current_date;

-- name: begin_load
-- One record a table instead of a version a row, which adds 14 µs of processor to the 11 that a row takes.
select audit.begin_load(%(tables)s::regclass[]);

-- name: end_load
select audit.end_load(%(tables)s::regclass[]);

-- name: foreign_keys
-- The constraints that cost more than the rows: two look-ups a row (14 of 22 microseconds of a group member).
select conrelid::regclass::text as table_name, conname as name, pg_get_constraintdef(oid) as definition
  from pg_constraint
 where contype = 'f' and connamespace = 'public'::regnamespace
   and conrelid = any (%(tables)s::regclass[])
 order by 1, 2;

-- name: create_commits
create table if not exists ops.demo_commits (
    seq bigint primary key,
    writer smallint not null,
    kind text not null,
    committed_at timestamptz not null default clock_timestamp()
);
comment on table ops.demo_commits is 'One row for each transaction of `demo live`, to compare with its ledger.';

-- name: newest_commit
select coalesce(max(seq), 0) from ops.demo_commits;

-- name: busy_couples
-- The weddings nearest to today: the ones a Saturday is busy with.
select id from public.couples order by abs(wedding_date - current_date), id limit 300;

-- name: note_commit
-- The last statement before COMMIT: its time is as near to the commit as a client can see.
insert into ops.demo_commits (seq, writer, kind) values (%(seq)s, %(writer)s, %(kind)s)
returning committed_at;

-- name: answer_invitation
update public.guests
   set rsvp_status = (array['accepted', 'accepted', 'accepted', 'declined', 'maybe'])[1 + floor(random() * 5)::int],
       dietary_notes = case when random() < 0.1 then 'Vegetarian' else dietary_notes end
 where couple_id = %(couple)s
   and id = (select id from public.guests where couple_id = %(couple)s order by random() limit 1);

-- name: invite_guest
insert into public.guests (couple_id, first_name, last_name, side, relationship)
values (%(couple)s, %(first_name)s, %(last_name)s, 'both', 'friend');

-- name: send_message
insert into public.messages (couple_id, organization_id, thread_id, sender_kind, sender_name, body)
select t.couple_id, t.organization_id, t.id, 'couple', c.partner_one_name, %(body)s
  from public.message_threads t
  join public.couples c on c.id = t.couple_id
 where t.couple_id = %(couple)s
 order by random()
 limit 1;

-- name: move_timeline
update public.timeline_events
   set starts_at = starts_at + m.step, ends_at = ends_at + m.step
  from (select (array[-10, -5, 5, 10])[1 + floor(random() * 4)::int] * interval '1 minute' as step) as m
 where couple_id = %(couple)s
   and id = (select id from public.timeline_events where couple_id = %(couple)s order by random() limit 1);

-- name: edit_photo_group
update public.photo_groups
   set estimated_duration = 2 + floor(random() * 12)::int,
       status = (array['planned', 'ready', 'taken'])[1 + floor(random() * 3)::int]
 where couple_id = %(couple)s
   and id = (select id from public.photo_groups where couple_id = %(couple)s order by random() limit 1);

-- name: edit_core_field
insert into public.core_field_values (couple_id, field_key, value)
values (%(couple)s, 'guest_count', to_jsonb(40 + floor(random() * 160)::int))
    on conflict (couple_id, field_key)
    do update set value = excluded.value;  -- names no version: the last word counts
