-- name: become
-- For this transaction alone. The role first: statements are planned under its policies.
select pg_catalog.set_config('role', %(role)s, true),
       pg_catalog.set_config('request.jwt.claims', %(claims)s, true);

-- name: read_only
select pg_catalog.set_config('transaction_read_only', 'on', true);

-- name: ping
select 1;
