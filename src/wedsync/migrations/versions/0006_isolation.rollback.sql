-- Takes away every right together with its policy: without policies nobody but the owner may read.
do $$
declare
    name text;
    policy text;
begin
    foreach name in array array[
        'organizations', 'organization_members', 'suppliers', 'couples', 'couple_members', 'connections',
        'households', 'guests', 'timeline_events', 'photo_groups', 'photo_group_members',
        'core_field_values', 'message_threads', 'messages']
    loop
        execute format('revoke all on public.%I from authenticated, service_role', name);
        for policy in
            select polname from pg_catalog.pg_policy where polrelid = format('public.%I', name)::regclass
        loop
            execute format('drop policy %I on public.%I', policy, name);
        end loop;
        execute format('alter table public.%I no force row level security', name);
        execute format('alter table public.%I disable row level security', name);
    end loop;
end
$$;
