-- name: looks_at_all
-- Row-level security that would hide rows from this role is an error, not a quiet day; nothing here may take long.
select set_config('row_security', 'off', false), set_config('statement_timeout', '30s', false),
       set_config('default_transaction_read_only', 'on', false);

-- name: what_is_there
-- What the database keeps of its own past; nothing of it in one that is not WedSync's.
select to_regclass('audit.record_version') is not null and to_regclass('audit.loads') is not null as history,
       to_regclass('ops.migrations') is not null as ledger,
       current_setting('track_commit_timestamp') = 'on' as knows_commits;

-- name: bulk_changes
-- Transactions that deleted or changed many rows, newest first. When one committed is known while the server has its
-- transaction's time; a version that came by a dump has another xmin than the transaction that wrote it.
with of_table as (
    select v.transaction_id, v.table_name,
           count(*) filter (where v.operation = 'delete') as deleted,
           count(*) filter (where v.operation = 'update') as changed,
           min(v.changed_at) as began_at, bool_or(v.xmin = v.transaction_id::xid) as is_of_here,
           max(v.user_id::text) as user_id, max(v.role_name) as role_name, max(v.session_name) as session_name,
           max(v.application_name) as application_name, max(v.request_id) as request_id,
           min(v.couple_id::text) as least_couple, max(v.couple_id::text) as greatest_couple
      from audit.record_version v
     where v.changed_at >= %(since)s and v.changed_at <= %(until)s and v.operation <> 'insert'
     group by v.transaction_id, v.table_name
), of_transaction as (
    select transaction_id, min(began_at) as began_at, bool_or(is_of_here) as is_of_here,
           max(user_id) as user_id, max(role_name) as role_name, max(session_name) as session_name,
           max(application_name) as application_name, max(request_id) as request_id,
           case when min(least_couple) = max(greatest_couple) then min(least_couple)::uuid end as couple_id,
           sum(deleted + changed) as rows,
           jsonb_agg(jsonb_build_object('table', table_name, 'deleted', deleted, 'changed', changed)
                     order by deleted + changed desc, table_name)::text as tables
      from of_table group by transaction_id
)
select t.transaction_id::text as transaction_id, t.began_at,
       case when t.is_of_here and current_setting('track_commit_timestamp') = 'on'
            then pg_xact_commit_timestamp(t.transaction_id::xid) end as committed_at,
       t.user_id, t.role_name, t.session_name, t.application_name, t.request_id, t.couple_id::text as couple_id,
       t.tables
  from of_transaction t
 where t.rows >= %(least)s
 order by t.began_at desc
 limit %(limit)s;

-- name: loads
-- Empty tables that were filled in bulk: one row for each transaction.
select l.transaction_id::text as transaction_id, min(l.loaded_at) as began_at,
       case when bool_or(l.xmin = l.transaction_id::xid) and current_setting('track_commit_timestamp') = 'on'
            then pg_xact_commit_timestamp(l.transaction_id::xid) end as committed_at,
       max(l.session_name) as session_name, max(l.application_name) as application_name,
       sum(l.row_count)::bigint as rows, count(*) as tables
  from audit.loads l
 where l.loaded_at >= %(since)s and l.loaded_at <= %(until)s
 group by l.transaction_id
 order by began_at;

-- name: schema_changes
-- What was done to the schema; a file that runs in a transaction commits together with its row here.
select m.kind, m.id as number, m.name, m.applied_at, m.by, m.reason, m.detail,
       case when current_setting('track_commit_timestamp') = 'on' and m.kind <> 'chained'
            then pg_xact_commit_timestamp(m.xmin) end as committed_at
  from ops.migrations m
 where m.applied_at >= %(since)s and m.applied_at <= %(until)s
 order by m.seq;
