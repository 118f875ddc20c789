-- Signing in: each runs as service_role, in one transaction with those beside it. Parameters are text.

-- name: schema_is_there
select to_regprocedure('auth.redeem(text[], bytea, text, bytea, bytea, boolean, jsonb)') is not null;

-- name: account_by_email
select auth.account(u)::text, u.encrypted_password from auth.users u where lower(u.email) = lower($1);

-- name: account_by_id
select auth.account(u)::text, u.encrypted_password from auth.users u where u.id = $1::uuid;

-- name: account_and_session
select auth.account(u)::text, u.encrypted_password, auth.session_facts(s)::text
  from auth.users u
  join auth.sessions s on s.user_id = u.id and s.id = $2::uuid
 where u.id = $1::uuid and (s.not_after is null or s.not_after > clock_timestamp());

-- name: accounts
-- A page of accounts, newest first.
select auth.account(u)::text from auth.users u order by u.created_at desc, u.id desc limit $1::bigint offset $2::bigint;

-- name: count_accounts
select count(*) from auth.users;

-- name: imagine_account
-- What a sign-up answers for an address that has an account already: as if it were new.
select auth.account(jsonb_populate_record(null::auth.users, $1::jsonb || jsonb_build_object(
    'created_at', now(), 'confirmation_sent_at', now(), 'updated_at', now())))::text;

-- name: account_just_made
-- What a sign-up answers for a new address: the microseconds between its moments tell no more than those above.
select auth.account(jsonb_populate_record(u, jsonb_build_object(
           'created_at', now(), 'confirmation_sent_at', now(), 'updated_at', now())))::text
  from auth.users u
 where u.id = $1::uuid;

-- name: add_account
insert into auth.users (id, email, encrypted_password, raw_app_meta_data, raw_user_meta_data, is_anonymous,
                        email_confirmed_at, invited_at, banned_until)
select $1::uuid, $2, $3, $4::jsonb, $5::jsonb, $6::boolean,
       case when $7::boolean then clock_timestamp() end, case when $8::boolean then clock_timestamp() end,
       clock_timestamp() + make_interval(secs => $9::double precision)
returning auth.account(users)::text, encrypted_password;

-- name: sign_up_again
-- The address was never confirmed: the latest sign-up counts.
update auth.users u set encrypted_password = $2, raw_user_meta_data = $3::jsonb
 where u.id = $1::uuid and u.email_confirmed_at is null;

-- name: set_password
update auth.users u set encrypted_password = $2 where u.id = $1::uuid;

-- name: rehash_password
-- Only if nobody changed it since it was read.
update auth.users u set encrypted_password = $2 where u.id = $1::uuid and u.encrypted_password = $3;

-- name: merge_user_metadata
update auth.users u
   set raw_user_meta_data = (u.raw_user_meta_data || $2::jsonb) - array(
           select key from jsonb_each($2::jsonb) where jsonb_typeof(value) = 'null')
 where u.id = $1::uuid;

-- name: merge_app_metadata
update auth.users u
   set raw_app_meta_data = (u.raw_app_meta_data || $2::jsonb) - array(
           select key from jsonb_each($2::jsonb) where jsonb_typeof(value) = 'null')
 where u.id = $1::uuid;

-- name: set_email
update auth.users u
   set email = $2, email_change = null, email_change_confirmed = 0, is_anonymous = false,
       email_confirmed_at = case when $3::boolean then clock_timestamp() end
 where u.id = $1::uuid;

-- name: confirm_email
update auth.users u set email_confirmed_at = coalesce(u.email_confirmed_at, clock_timestamp()) where u.id = $1::uuid;

-- name: ask_email_change
update auth.users u
   set email_change = $2, email_change_confirmed = 0, email_change_sent_at = clock_timestamp()
 where u.id = $1::uuid;

-- name: drop_change_tokens
delete from auth.one_time_tokens t where t.user_id = $1::uuid and t.purpose in ('email_change_current', 'email_change_new');

-- name: ban
update auth.users u set banned_until = clock_timestamp() + make_interval(secs => $2::double precision) where u.id = $1::uuid;

-- name: unban
update auth.users u set banned_until = null where u.id = $1::uuid;

-- name: delete_account
delete from auth.users u where u.id = $1::uuid returning auth.account(u)::text, u.encrypted_password;

-- name: close_account
-- The row stays for what refers to it; who it was goes.
update auth.users u
   set email = null, phone = null, encrypted_password = null, email_change = null, raw_user_meta_data = '{}',
       raw_app_meta_data = '{}', deleted_at = clock_timestamp(), banned_until = 'infinity'
 where u.id = $1::uuid returning auth.account(u)::text, u.encrypted_password;

-- name: mark_sent
update auth.users u
   set confirmation_sent_at = case when $2 in ('signup', 'invite') then clock_timestamp() else u.confirmation_sent_at end,
       recovery_sent_at = case when $2 in ('recovery', 'magiclink') then clock_timestamp() else u.recovery_sent_at end,
       reauthentication_sent_at =
           case when $2 = 'reauthentication' then clock_timestamp() else u.reauthentication_sent_at end
 where u.id = $1::uuid;

-- name: open_session
select auth.open_session($1::uuid, $2, $3::jsonb)::text;

-- name: rotate_refresh_token
select auth.rotate_refresh_token($1::bytea, $2::bytea, make_interval(secs => $3::double precision),
                                 make_interval(secs => $4::double precision))::text;

-- name: end_session
delete from auth.sessions s where s.user_id = $1::uuid and s.id = $2::uuid;

-- name: end_all_sessions
delete from auth.sessions s where s.user_id = $1::uuid;

-- name: end_other_sessions
delete from auth.sessions s where s.user_id = $1::uuid and s.id <> $2::uuid;

-- name: put_one_time_token
-- The latest of its purpose counts.
insert into auth.one_time_tokens
    (user_id, purpose, email, link_token_hash, code_hash, code_challenge, code_challenge_method, expires_at)
values ($1::uuid, $2, $3, $4::bytea, $5::bytea, $6, $7, clock_timestamp() + make_interval(secs => $8::double precision))
on conflict (user_id, purpose) do update
   set email = excluded.email, link_token_hash = excluded.link_token_hash, code_hash = excluded.code_hash,
       code_challenge = excluded.code_challenge, code_challenge_method = excluded.code_challenge_method,
       expires_at = excluded.expires_at, wrong_codes = 0, created_at = clock_timestamp();

-- name: redeem
select auth.redeem($1::text[], $2::bytea, $3, $4::bytea, $5::bytea, $6::boolean, $7::jsonb)::text;

-- name: use_code
-- A code without a session: reauthentication.
select (auth.check_code($1, $2::text[], $3::bytea)).user_id;

-- name: exchange_code
select auth.exchange_code($1::bytea, $2, $3, $4::jsonb)::text;

-- name: put_letter
insert into auth.letters (user_id, recipient, kind, content) values ($1::uuid, $2, $3, $4::jsonb);

-- name: take_letters
-- Put off for those who look later: should this delivery die, the letter is taken up again.
update auth.letters l
   set tries = l.tries + 1, not_before = clock_timestamp() + make_interval(secs => $1::double precision)
 where l.id in (select d.id from auth.letters d
                 where d.delivered_at is null and d.given_up_at is null and d.not_before <= clock_timestamp()
                 order by d.not_before limit 10 for update skip locked)
returning l.id, l.recipient, l.kind, l.content::text, l.tries;

-- name: letter_delivered
update auth.letters l set delivered_at = clock_timestamp(), content = null, error = null where l.id = $1::uuid;

-- name: letter_put_off
update auth.letters l
   set not_before = clock_timestamp() + make_interval(secs => $2::double precision), error = $3
 where l.id = $1::uuid;

-- name: letter_given_up
update auth.letters l set given_up_at = clock_timestamp(), content = null, error = $2 where l.id = $1::uuid;

-- name: blocked_for
-- Seconds until the next try; no row: now.
select extract(epoch from max(t.blocked_until) - clock_timestamp())
  from auth.throttles t where t.subject = any ($1::bytea[]) having max(t.blocked_until) > clock_timestamp();

-- name: hit
select extract(epoch from auth.hit($1::bytea, $2::integer, make_interval(secs => $3::double precision),
                                   make_interval(secs => $4::double precision)));

-- name: clear_hits
delete from auth.throttles t where t.subject = $1::bytea;

-- name: add_factor
insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, secret_ciphertext)
select $1::uuid, $2::uuid, $3, 'totp', $4::bytea
 where (select count(*) from auth.mfa_factors f where f.user_id = $2::uuid) < $5::integer
returning id;

-- name: drop_unverified_factors
-- Begun and never finished: a new one begins afresh.
delete from auth.mfa_factors f
 where f.user_id = $1::uuid and f.status = 'unverified' and f.created_at < clock_timestamp() - interval '1 hour';

-- name: challenge_factor
with challenged as (
    update auth.mfa_factors f set last_challenged_at = clock_timestamp()
     where f.id = $1::uuid and f.user_id = $2::uuid returning f.id, f.user_id
)
insert into auth.mfa_challenges (factor_id, user_id, expires_at)
select c.id, c.user_id, clock_timestamp() + interval '5 minutes' from challenged c
returning id, extract(epoch from expires_at)::bigint;

-- name: factor_to_check
select encode(f.secret_ciphertext, 'hex'), f.last_step, extract(epoch from clock_timestamp()),
       (select c.wrong_codes from auth.mfa_challenges c
         where c.id = $3::uuid and c.factor_id = f.id and c.expires_at > clock_timestamp())
  from auth.mfa_factors f where f.id = $1::uuid and f.user_id = $2::uuid;

-- name: accept_factor
select auth.accept_factor($1::uuid, $2::uuid, $3::uuid, $4::uuid, $5::bigint, $6::bytea)::text;

-- name: count_wrong_factor_code
with counted as (
    update auth.mfa_challenges c set wrong_codes = c.wrong_codes + 1
     where c.id = $1::uuid and c.wrong_codes < 5 returning c.id
)
select count(*) from counted;

-- name: drop_factor
delete from auth.mfa_factors f where f.id = $1::uuid and f.user_id = $2::uuid returning f.id;

-- name: sessions_without_factor
-- Without a verified factor no session has two.
update auth.sessions s set aal = 'aal1'
 where s.user_id = $1::uuid and s.aal = 'aal2'
   and not exists (select from auth.mfa_factors f where f.user_id = $1::uuid and f.status = 'verified');
