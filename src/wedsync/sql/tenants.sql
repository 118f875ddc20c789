-- name: see_every_row
-- A policy that hides weddings from this role is an error, not a quiet day (PostgreSQL manual, 5.8).
set row_security = off;

-- name: couples_exist
select to_regclass('public.couples') is not null;

-- name: calendar_today
-- The day where the platform is, and whether there are weddings at all.
select (%(now)s::timestamptz at time zone %(time_zone)s)::date as today,
       exists (select from public.couples where status <> 'cancelled') as any_wedding;

-- name: weddings_near
-- A little wider than today and tomorrow anywhere on earth; each with the present day in its own time zone.
select id::text as couple_id, wedding_date, time_zone,
       (%(now)s::timestamptz at time zone time_zone)::date as today_there
  from public.couples
 where status <> 'cancelled'
   and wedding_date between (%(now)s::timestamptz at time zone 'UTC')::date - 1
                        and (%(now)s::timestamptz at time zone 'UTC')::date + 2;
