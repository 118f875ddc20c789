create table witnesses (                -- what was recorded of the database at an exact place of the WAL
    id integer primary key,
    at text not null,                   -- the server's clock: no commit in it is later
    system_id text not null,
    timeline integer not null,
    lsn text not null,                  -- everything before it, nothing at or behind it
    position integer not null,          -- the same as a number, to sort by
    database text not null,
    reason text not null,               -- schedule | backup | operator
    tables text not null,               -- JSON list of digests
    left_out text not null,             -- JSON list of tables and reasons
    catalogue text,                     -- digest, in witness_catalogues
    took_s real not null,
    waited_s real not null
) strict;
create index witnesses_on_the_way on witnesses (system_id, timeline, position);
create index witnesses_newest on witnesses (at);

create table witness_catalogues (       -- a catalogue as it was, once however many witnesses it had
    digest text primary key,
    objects blob not null               -- zlib of a JSON list of [kind, name, relation, facts]
) strict, without rowid;
