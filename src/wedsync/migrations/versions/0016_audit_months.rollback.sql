delete from ops.routines where name = 'keep_audit_months';
drop function ops.keep_audit_months();
drop table audit.retention;
