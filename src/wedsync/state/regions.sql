-- Regions: how far each is behind, whether its content can be deleted, what waits for it.

create table regions (                  -- what the keeper saw of a repository when it looked last
    repo integer primary key,
    kind text not null,
    seen_at text not null,
    reachable integer not null,
    since text not null,                -- since when it is (or is not) reachable
    message text not null,              -- what it said when it was not
    newest_segment text,                -- the newest that it is known to hold, on the live timeline
    newest_commit_at text,              -- the last commit in there
    behind_segments integer not null,   -- finished segments that it lacks
    behind_bytes integer not null,
    behind_since text,                  -- when the oldest of them was finished
    given_up_at text                    -- since when archiving goes on without it
) strict;

create table region_locks (             -- whether what a repository holds can be deleted or overwritten
    repo integer primary key,
    checked_at text not null,
    state text not null,                -- on | short | off | none | unknown
    words text not null,
    next_step text not null
) strict;

create table wal_queue (                -- WAL that waits for the archive, and the room that is left for it
    at text primary key,
    waiting_bytes integer not null,
    free_bytes integer not null,
    full_at text                        -- when the disk is full if the queue goes on growing so
) strict, without rowid;
