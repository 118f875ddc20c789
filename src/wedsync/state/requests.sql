create table api_requests (              -- calls with an idempotency key: the same key gets the same answer
    caller text not null,
    key text not null,
    request_hash text not null,         -- of method, path and body
    begun_at text not null,
    status integer,                     -- null: under way, or broken off
    answer blob,
    headers text,                       -- JSON
    primary key (caller, key)
) strict;
create index api_requests_oldest on api_requests (begun_at);

create table operation_runs (           -- work that a call began and that goes on in a process of its own
    id text primary key,
    kind text not null,                 -- backup | verification | expiry | recovery | undo
    wanted text not null,               -- JSON of what was asked for
    asked_by text not null,
    asked_at text not null,
    pid integer,
    finished_at text,
    outcome text not null,              -- running | done | failed
    progress text,                      -- JSON
    result text,                        -- JSON
    error text                          -- JSON
) strict;
create index operation_runs_newest on operation_runs (asked_at);
