-- depends: 0011_audit, 0013_operations
-- The keeper makes the months of the history ahead, and drops those that are older than they are kept.

create table audit.retention (
    id smallint primary key default 1 check (id = 1),
    keep interval not null default interval '25 months' check (keep >= interval '31 days')
);
comment on table audit.retention is 'One row: how long the history is kept, in whole months.';
insert into audit.retention (id) values (1);
alter table audit.retention enable row level security, force row level security;
grant select on audit.retention to service_role;

create function ops.keep_audit_months() returns void
    language plpgsql
    set search_path = ''
as $$
begin
    perform audit.ensure_partitions(3);
    perform audit.drop_partitions((select keep from audit.retention));
end
$$;
comment on function ops.keep_audit_months() is
    'Routine: partitions of the history for the months to come, none for those that are not kept.';
insert into ops.routines (name, every) values ('keep_audit_months', interval '6 hours');
