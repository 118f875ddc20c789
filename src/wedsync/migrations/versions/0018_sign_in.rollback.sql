-- Lost: sessions (everybody signs in again), second factors, letters that were not delivered, changes of address under way.
delete from ops.routines where name = 'prune_sign_in';
drop function ops.prune_sign_in();
drop function auth.hit(bytea, integer, interval, interval);
drop function auth.accept_factor(uuid, uuid, uuid, uuid, bigint, bytea);
drop function auth.exchange_code(bytea, text, text, jsonb);
drop function auth.redeem(text[], bytea, text, bytea, bytea, boolean, jsonb);
drop function auth.open_session(uuid, text, jsonb);
drop function auth.check_code(text, text[], bytea);
drop function auth.rotate_refresh_token(bytea, bytea, interval, interval);
drop function auth.session_facts(auth.sessions);
drop function auth.account(auth.users);
delete from audit.watched where table_name in (
    'auth.letters', 'auth.throttles', 'auth.mfa_challenges', 'auth.mfa_factors', 'auth.authorization_codes',
    'auth.one_time_tokens', 'auth.refresh_tokens', 'auth.sessions');
drop table auth.letters;
drop table auth.throttles;
drop table auth.mfa_challenges;
drop table auth.mfa_factors;
drop table auth.authorization_codes;
drop table auth.one_time_tokens;
drop table auth.refresh_tokens;
drop table auth.sessions;
alter table auth.users
    drop column deleted_at,
    drop column email_change_confirmed,
    drop column email_change_sent_at,
    drop column email_change,
    drop column reauthentication_sent_at,
    drop column recovery_sent_at,
    drop column confirmation_sent_at,
    drop column invited_at;
