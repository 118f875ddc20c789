drop table public.guests;
drop table public.households;
