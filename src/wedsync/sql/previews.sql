-- name: claims_of_user
-- What an access token of this person said then, as sign-in writes it; nothing about a session.
select jsonb_build_object(
           'sub', u.id, 'aud', 'authenticated', 'role', 'authenticated', 'email', u.email, 'phone', coalesce(u.phone, ''),
           'app_metadata', u.raw_app_meta_data, 'user_metadata', u.raw_user_meta_data, 'aal', 'aal1',
           'is_anonymous', u.is_anonymous)::text
  from auth.users u where u.id = %(user)s::uuid;
