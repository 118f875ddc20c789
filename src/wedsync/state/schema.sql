-- Moments are text in ISO 8601, UTC, six digits of a second: they sort as they are.

create table process_events (           -- a process of ours was started, died, was restarted
    id integer primary key,
    at text not null,
    process text not null,              -- postgresql | keeper | gateway | supervisor
    what text not null,                 -- a ProcessFact: started | adopted | died | restarted | waiting | ...
    detail text not null default ''
) strict;

create table operator_actions (         -- the operators' audit trail
    id integer primary key,
    at text not null,
    operator text not null,
    action text not null,               -- such as: recover run
    detail text not null                -- JSON
) strict;

create table backup_runs (              -- every run, also those that failed
    id integer primary key,
    repo integer not null,
    kind text not null,                 -- full | diff | incr
    reason text not null,               -- schedule | operator | safety | first
    started_at text not null,
    finished_at text,                   -- null: still running, or killed
    outcome text not null,              -- running | done | failed
    label text,
    took_s real,
    database_bytes integer,
    repo_bytes integer,
    error text,
    pid integer not null
) strict;
create index backup_runs_newest on backup_runs (repo, started_at);

create table catalogue (                -- backups, rebuilt from the repositories
    repo integer not null,
    label text not null,
    record text not null,               -- JSON of one Backup
    primary key (repo, label)
) strict;

create table heartbeats (               -- a commit of ours: when, and where in the WAL it ends
    at text primary key,
    timeline integer not null,
    lsn text not null
) strict, without rowid;

create table segment_commits (          -- first and last commit of an archived WAL segment, once read
    system_id text not null,
    segment text not null,
    commits integer not null,
    first_at text,
    last_at text,
    last_lsn text,                      -- start of the last commit's record
    ends_early_in integer,              -- the repository in which its WAL stops inside; null: it is whole
    primary key (system_id, segment)
) strict, without rowid;

create table timelines (                -- when each timeline became the live one
    system_id text not null,
    timeline integer not null,
    parent integer,
    forked_at_lsn text,
    live_from text not null,
    primary key (system_id, timeline)
) strict, without rowid;

create table recoveries (               -- each recovery, its journal while it runs
    id text primary key,
    target_at text,
    target text not null,               -- JSON of the target
    phase text not null,
    started_at text not null,
    finished_at text,
    outcome text not null,              -- running | done | failed | undone
    plan text not null,                 -- JSON
    undo text,                          -- JSON: how to go back
    result text                         -- JSON
) strict;

create table measurements (             -- what forecasts are learnt from
    id integer primary key,
    at text not null,
    job text not null,                  -- backup | restore | replay | start | ...
    size_bytes integer not null,
    units integer not null,             -- files or segments
    took_s real not null
) strict;
create index measurements_newest on measurements (job, at);

create table sign_in_links (
    token_hash text primary key,
    expires_at text not null,
    used_at text
) strict;

create table console_sessions (
    token_hash text primary key,
    created_at text not null,
    expires_at text not null
) strict;

create table setup_steps (              -- what the first run of `up` has done
    step text primary key,
    at text not null
) strict, without rowid;
