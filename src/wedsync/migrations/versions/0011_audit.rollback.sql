-- The history goes with it: this loses who changed what.
do $$
declare
    name text;
    event text;
begin
    for name, event in
        select tgrelid::regclass::text, tgname from pg_catalog.pg_trigger where tgfoid = 'audit.record'::regproc
    loop
        execute format('drop trigger %I on %s', event, name);
    end loop;
end
$$;
drop trigger refuse_former on public.couples;
drop function app.refuse_former_couple();
drop function public.get_couple_history(uuid, timestamptz);
drop function public.get_guests_as_of(uuid, timestamptz);
drop function app.couple_history(uuid, timestamptz);
drop function app.guests_as_of(uuid, timestamptz);
drop function audit.guests_as_of(uuid, timestamptz);
drop function audit.rows_as_of(regclass, uuid, timestamptz);
drop function audit.committed_at(xid, xid8, timestamptz);
drop function audit.history_begins(text);
drop function audit.drop_partitions(interval);
drop function audit.ensure_partitions(integer);
drop function audit.add_partition(text, text);
drop function audit.end_load(regclass[]);
drop function audit.begin_load(regclass[]);
drop function audit.unwatched() cascade;
drop function audit.watch(regclass, text[]);
drop table audit.erasures;
drop table audit.loads;
drop table audit.watched;
drop table audit.record_version;
drop function audit.require_load_ended();
drop function audit.refuse();
drop function audit.record();
drop sequence audit.version_number;
revoke usage on schema audit from service_role;
