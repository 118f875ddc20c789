-- Which files of the repositories were read when, and what was found. Lost, it is learnt again by reading.
create table checked_files (             -- every file of every repository, as it was last listed
    repo integer not null,
    path text not null,                 -- below the repository's root
    kind text not null,                 -- a FileKind
    size_bytes integer not null,
    modified_at text not null,          -- another size or time: another file, to be read again
    listed_at text not null,            -- when this very file was first seen
    read_at text,                       -- when it was last read to its end; null: never
    whole integer,                      -- 1: as it should be; 0: damaged; null: never read
    primary key (repo, path)
) strict, without rowid;
create index checked_files_oldest on checked_files (repo, read_at);

create table verification_findings (     -- what was wrong, until it was repaired or went away
    id integer primary key,
    repo integer not null,
    kind text not null,                 -- a ProblemKind
    label text,
    file text,
    path text,                          -- below the repository's root
    segments text not null,             -- JSON list of WAL segments
    parts text not null,                -- JSON list of the database's files in it
    problem text not null,
    critical integer not null,          -- 1: a moment cannot be restored because of it
    found_at text not null,
    seen_at text not null,
    ended_at text,                      -- null: it is still so
    ended_by text,                      -- repaired | whole | gone
    repair text,                        -- what was done, or why nothing could be
    quarantine text                     -- where the damaged file was put aside
) strict;
create index verification_findings_open on verification_findings (ended_at, repo);

create table verification_rounds (       -- how reading a repository goes, and when it was last possible
    repo integer primary key,
    listed_at text,                     -- when its files were last listed
    read_at text,                       -- when one of them was last read
    error text,                         -- why it cannot be read now
    error_since text
) strict, without rowid;
