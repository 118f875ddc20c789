create table backup_verifications (     -- repositories that were read whole
    id integer primary key,
    at text not null,                   -- when the reading ended
    repos text not null,                -- JSON list of their numbers
    checked integer not null,           -- files and WAL segments
    took_s real not null,
    problems text not null              -- JSON list of problems; empty: all is whole
) strict;
