-- Lost: clients and notes, forms with what couples answered, journeys, notifications, the list of files, bookings.
-- The schema extensions stays: the cluster brought it.
drop table public.availability;
drop table public.bookings;
drop function app.keep_calendar();
drop function app.guard_booking();
drop table public.services;
drop table public.files;
drop table public.notifications;
drop table public.journey_steps;
drop table public.journeys;
drop function public.save_form_draft(uuid, uuid, uuid, jsonb, integer);
drop table public.form_drafts;
drop table public.form_submissions;
drop table public.form_fields;
drop table public.forms;
drop table public.client_notes;
drop table public.clients;
drop function app.keep_version();
drop function app.couple_forms();
drop function app.my_client_couples(text[]);
drop function app.couple_organizations();
drop extension btree_gist;
