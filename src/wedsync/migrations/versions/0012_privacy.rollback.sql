-- Secrets that integrations need are lost with it.
drop function audit.erase(uuid, text, uuid, text, jsonb, jsonb);
drop function app.rotate_secrets();
drop function app.get_secret(uuid, text);
drop function app.put_secret(uuid, text, text);
drop function app.decrypt_secret(bytea, text);
drop function app.encrypt_secret(text, text);
drop function app.key_id(text);
drop function app.given_key(text);
drop table app.integration_secrets;
revoke usage on schema extensions from service_role;
drop extension pgcrypto;
