-- depends: 0011_audit
-- Secrets that have to be read again, encrypted by a key that is not in the database; and erasing history.

create extension if not exists pgcrypto with schema extensions;

-- Secrets ---------------------------------------------------------------------------------------------
-- The key is given for one transaction, as a parameter, so that no statement's text ever holds it:
--   select set_config('app.secret_key', $1, true)

create table app.integration_secrets (
    organization_id uuid not null references public.organizations on delete cascade,
    name text not null check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    key_id text not null,
    ciphertext bytea not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (organization_id, name)
);
comment on table app.integration_secrets is
    'Signing secrets of webhooks and tokens of integrations, encrypted; read by the gateway only.';
comment on column app.integration_secrets.key_id is
    'The beginning of the SHA-256 of the key it is encrypted with.';
create trigger touch before update on app.integration_secrets for each row execute function app.touch();
alter table app.integration_secrets enable row level security, force row level security;
create policy service on app.integration_secrets to service_role using (true) with check (true);
grant select, insert, update, delete on app.integration_secrets to service_role;

create function app.given_key(p_setting text) returns text
    language plpgsql stable
    set search_path = ''
as $$
declare
    key constant text := nullif(current_setting(p_setting, true), '');
begin
    if key is null then
        raise exception 'no key was given in this transaction'
            using errcode = 'invalid_parameter_value', hint = format('select set_config(%L, $1, true)', p_setting);
    elsif length(key) < 32 then
        raise exception 'the key is too short'
                using errcode = 'invalid_parameter_value', hint = '32 random characters or more';
    end if;
    return key;
end
$$;
comment on function app.given_key(text) is 'The key that a setting of this transaction holds.';

create function app.key_id(p_key text) returns text
    language sql immutable
    set search_path = ''
as $$
    select left(encode(sha256(convert_to(p_key, 'UTF8')), 'hex'), 12)
$$;
comment on function app.key_id(text) is 'What a key is recognised by.';

create function app.encrypt_secret(p_plain text, p_key text) returns bytea
    language sql volatile
    set search_path = ''
as $$
    -- The key is random: stretching it would only cost time. Random bytes do not compress.
    select extensions.pgp_sym_encrypt(p_plain, p_key, 'cipher-algo=aes256, s2k-mode=1, compress-algo=0')
$$;
comment on function app.encrypt_secret(text, text) is 'AES-256 by OpenPGP, with an integrity check.';

create function app.decrypt_secret(p_ciphertext bytea, p_key text) returns text
    language sql volatile
    set search_path = ''
as $$
    select extensions.pgp_sym_decrypt(p_ciphertext, p_key)
$$;
comment on function app.decrypt_secret(bytea, text) is
    'What app.encrypt_secret was given; an error for another key or altered bytes.';

create function app.put_secret(p_organization_id uuid, p_name text, p_value text) returns void
    language plpgsql volatile
    set search_path = ''
as $$
declare
    key constant text := app.given_key('app.secret_key');
    -- With its owner inside: a ciphertext that is copied to another row is not believed there.
    sealed constant bytea := app.encrypt_secret(p_organization_id || ' ' || p_name || ' ' || p_value, key);
begin
    insert into app.integration_secrets (organization_id, name, key_id, ciphertext)
    values (p_organization_id, p_name, app.key_id(key), sealed)
    on conflict (organization_id, name) do update set key_id = excluded.key_id, ciphertext = excluded.ciphertext;
end
$$;
comment on function app.put_secret(uuid, text, text) is 'Keep a secret of an organization, or replace it.';

create function app.get_secret(p_organization_id uuid, p_name text) returns text
    language plpgsql volatile
    set search_path = ''
as $$
declare
    key constant text := app.given_key('app.secret_key');
    place constant text := p_organization_id || ' ' || p_name || ' ';
    kept app.integration_secrets;
    plain text;
begin
    select * into kept from app.integration_secrets s where s.organization_id = p_organization_id and s.name = p_name;
    if not found then
        return null;
    end if;
    if kept.key_id <> app.key_id(key) then
        raise exception 'secret % was encrypted with key %, given is key %', p_name, kept.key_id, app.key_id(key)
            using errcode = 'invalid_parameter_value', hint = 'give the key of the home that wrote it';
    end if;
    plain := app.decrypt_secret(kept.ciphertext, key);
    if not starts_with(plain, place) then
        raise exception 'secret % does not belong in this row', p_name
            using errcode = 'data_corrupted', hint = 'it was copied from another row: set it again';
    end if;
    return substr(plain, length(place) + 1);
end
$$;
comment on function app.get_secret(uuid, text) is
    'A secret of an organization; NULL if there is none of this name.';

create function app.rotate_secrets() returns integer
    language plpgsql volatile
    set search_path = ''
as $$
declare
    old_key constant text := app.given_key('app.secret_key');
    new_key constant text := app.given_key('app.new_secret_key');
    strangers bigint;
    turned integer;
begin
    lock table app.integration_secrets in share row exclusive mode;
    select count(*) into strangers from app.integration_secrets
     where key_id not in (app.key_id(old_key), app.key_id(new_key));
    if strangers > 0 then
        raise exception '% secrets are encrypted with a third key', strangers
            using errcode = 'invalid_parameter_value', hint = 'rotate from that key, or set them again';
    end if;
    update app.integration_secrets s
       set ciphertext = app.encrypt_secret(app.decrypt_secret(s.ciphertext, old_key), new_key),
           key_id = app.key_id(new_key)
     where s.key_id = app.key_id(old_key) and old_key <> new_key;
    get diagnostics turned = row_count;
    return turned;
end
$$;
comment on function app.rotate_secrets() is
    'Encrypt all secrets with app.new_secret_key instead of app.secret_key; gives how many.';

grant execute on function
    app.given_key(text), app.key_id(text), app.encrypt_secret(text, text), app.decrypt_secret(bytea, text),
    app.put_secret(uuid, text, text), app.get_secret(uuid, text)
    to service_role;
grant usage on schema extensions to service_role;

-- Erasing ---------------------------------------------------------------------------------------------

create function audit.erase(
    p_erasure uuid, p_kind text, p_subject uuid, p_by text, p_links jsonb default '[]', p_columns jsonb default '[]'
) returns bigint
    language plpgsql
    set search_path = ''
as $$
-- Takes the values out of every version about a couple, an organization or a user; who, when and which table stay.
-- p_links: tables that belong to a couple by another table: {"table", "columns", "parent", "parent_columns"}.
-- p_columns: where else in a row its id, or another value of it, stands: {"table", "path", "value"}. Gives the number of versions; they and the erasure
-- itself are written down in audit.erasures by the same transaction.
declare
    link record;
    part bigint;
    found_versions bigint := 0;
begin
    insert into audit.erasures (id, subject_kind, subject_id, by, versions)
    values (p_erasure, p_kind, p_subject, p_by, 0);
    for link in
        select l ->> 'table' as name, array(select jsonb_array_elements_text(l -> 'columns')) as columns,
               l ->> 'parent' as parent, array(select jsonb_array_elements_text(l -> 'parent_columns')) as parents
          from jsonb_array_elements(p_links) as l
    loop
        update audit.record_version v
           set old_row = null, new_row = null, row_key = null, client_address = null, forwarded_for = null,
               application_name = null, erasure_id = p_erasure
         where v.table_name = link.name
           and num_nonnulls(v.old_row, v.new_row, v.row_key, v.client_address, v.forwarded_for, v.application_name) > 0
           and (select jsonb_agg((coalesce(v.new_row, '{}') || coalesce(v.old_row, '{}')) -> c order by n)
                  from unnest(link.columns) with ordinality as one (c, n)) in (
                   select (select jsonb_agg((coalesce(p.new_row, '{}') || coalesce(p.old_row, '{}')) -> c order by n)
                             from unnest(link.parents) with ordinality as one (c, n))
                     from audit.record_version p
                    where p.table_name = link.parent and p.couple_id = p_subject);
        get diagnostics part = row_count;
        found_versions := found_versions + part;
    end loop;
    for link in
        select c ->> 'table' as name, array(select jsonb_array_elements_text(c -> 'path')) as path,
               lower(coalesce(c ->> 'value', p_subject::text)) as value
          from jsonb_array_elements(p_columns) as c
    loop
        update audit.record_version v
           set old_row = null, new_row = null, row_key = null, client_address = null, forwarded_for = null,
               application_name = null, erasure_id = p_erasure
         where v.table_name = link.name
           and num_nonnulls(v.old_row, v.new_row, v.row_key, v.client_address, v.forwarded_for, v.application_name) > 0
           and link.value in (lower(v.old_row #>> link.path), lower(v.new_row #>> link.path));
        get diagnostics part = row_count;
        found_versions := found_versions + part;
    end loop;
    update audit.record_version v
       set old_row = null, new_row = null, row_key = null, client_address = null, forwarded_for = null,
           application_name = null, erasure_id = p_erasure
     where num_nonnulls(v.old_row, v.new_row, v.row_key, v.client_address, v.forwarded_for, v.application_name) > 0
       and case p_kind when 'couple' then v.couple_id = p_subject
                       when 'organization' then v.organization_id = p_subject and v.table_name <> 'public.couples'
                       else false end;
    get diagnostics part = row_count;
    found_versions := found_versions + part;
    if p_kind = 'user' then   -- what this person changed stays; from where it was done goes
        update audit.record_version v
           set client_address = null, forwarded_for = null, application_name = null, erasure_id = p_erasure
         where v.user_id = p_subject
           and num_nonnulls(v.client_address, v.forwarded_for, v.application_name) > 0;
    end if;
    update audit.erasures set versions = found_versions where id = p_erasure;
    return found_versions;
end
$$;
comment on function audit.erase(uuid, text, uuid, text, jsonb, jsonb) is
    'The one way to take values out of the history; itself recorded.';

select audit.watch('app.integration_secrets');
