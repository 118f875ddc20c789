do $$
declare
    found record;
begin
    for found in
        select t.tgrelid::regclass as of_table, t.tgname as name
          from pg_catalog.pg_trigger t
         where t.tgparentid = 0 and not t.tgisinternal and t.tgenabled = 'A'
           and t.tgfoid in ('audit.record'::regproc, 'ops.count_photo_groups'::regproc)
         order by t.tgrelid::regclass::text
    loop
        execute format('alter table %s enable trigger %I', found.of_table, found.name);
    end loop;
end
$$;

create or replace function audit.watch(p_table regclass, p_left_out text[] default null) returns void
    language plpgsql
    set search_path = ''
as $$
-- Idempotent; again after the table was renamed or got another key. Columns that hold secrets are left out by
-- their names unless p_left_out says which are.
declare
    columns text[];
    label text;
    key text[];
    left_out text[];
    couple text := '';
    organization text := '';
    arguments text;
    event text;
    part regclass;
begin
    select n.nspname || '.' || c.relname into label
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.oid = p_table and c.relkind in ('r', 'p');
    if label is null then
        raise exception 'audit: % is not a table', p_table using errcode = 'wrong_object_type';
    end if;
    select array_agg(attname::text order by attnum) into columns
      from pg_catalog.pg_attribute where attrelid = p_table and attnum > 0 and not attisdropped;
    select array_agg(a.attname::text order by k.n) into key
      from pg_catalog.pg_index i
     cross join unnest(i.indkey::smallint[]) with ordinality as k (attnum, n)
      join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
     where i.indrelid = p_table and i.indisprimary;
    if key is null then
        raise exception 'audit: % has no primary key', p_table
            using errcode = 'invalid_table_definition', hint = 'versions of a row are told apart by its key';
    end if;
    left_out := coalesce(p_left_out, array(
        select name from unnest(columns) as name
         where name ~ '(^|_)(password|passphrase|secret|token|otp|ciphertext|key_hash|code_hash)(_|$)'
           and not name = any (key)));
    if not left_out <@ columns or left_out && key then
        raise exception 'audit: % cannot be left out of %', left_out, p_table
            using errcode = 'undefined_column', hint = 'name columns of the table that are not in its key';
    end if;
    if p_table = to_regclass('public.couples') then
        couple := 'id';
    elsif 'couple_id' = any (columns) then
        couple := 'couple_id';
    end if;
    if p_table = to_regclass('public.organizations') then
        organization := 'id';
    elsif 'organization_id' = any (columns) then
        organization := 'organization_id';
    end if;
    select string_agg(quote_literal(word), ', ' order by n) into arguments
      from unnest(array[label, couple, organization, left_out::text] || key) with ordinality as words (word, n);
    foreach event in array array['insert', 'update', 'delete', 'truncate'] loop
        execute format('drop trigger if exists %I on %s', 'audit_' || event, p_table);
        execute format(
            'create trigger %I %s %s on %s %s for each statement execute function audit.record(%s)',
            'audit_' || event, case event when 'truncate' then 'before' else 'after' end, event, p_table,
            case event when 'insert' then 'referencing new table as new_rows'
                       when 'update' then 'referencing old table as old_rows new table as new_rows'
                       when 'delete' then 'referencing old table as old_rows'
                       else '' end,
            arguments);
    end loop;
    insert into audit.watched (table_name, left_out) values (label, left_out)
        on conflict (table_name) do update set left_out = excluded.left_out;
    -- Whoever writes to a partition itself passes by the triggers of its parent.
    for part in select inhrelid::regclass from pg_catalog.pg_inherits where inhparent = p_table loop
        perform audit.watch(part, p_left_out);
    end loop;
end
$$;

create or replace function audit.end_load(p_tables regclass[]) returns void
    language plpgsql
    set search_path = ''
as $$
declare
    name regclass;
    event text;
    loaded bigint;
begin
    foreach name in array p_tables loop
        execute format('select count(*) from %s', name) into loaded;
        foreach event in array array['insert', 'update', 'delete', 'truncate'] loop
            execute format('alter table %s enable trigger %I', name, 'audit_' || event);
        end loop;
        update audit.loads l set row_count = loaded
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.oid = name and l.table_name = n.nspname || '.' || c.relname
           and l.transaction_id = pg_current_xact_id();
        if not found then
            raise exception 'audit: % was not being loaded', name
                using errcode = 'object_not_in_prerequisite_state',
                      hint = 'call audit.begin_load first, in the same transaction';
        end if;
    end loop;
end
$$;

delete from ops.routines where name = 'forget_row_recoveries';
drop function ops.erase_row_recoveries(text, uuid, text);
drop function ops.forget_row_recoveries();
drop table ops.row_recovery_rows, ops.row_recoveries;
