create table erasures (                 -- what was erased for good: done again after a recovery to before it
    id text primary key,                -- the one of audit.erasures in the database
    subject_kind text not null,         -- couple | organization | user
    subject_id text not null,
    asked_at text not null,             -- written down before anything is erased
    asked_by text not null,
    erased_at text,                     -- null: it was broken off, or has to be done again
    gone_from_backups_at text,          -- when the last backup that holds the values will have expired
    summary text                        -- JSON: rows by table; nothing personal
) strict;
