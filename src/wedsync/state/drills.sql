create table drills (                   -- every drill, also those that failed or were broken off
    id text primary key,
    began_at text not null,
    finished_at text,
    outcome text not null,              -- running | passed | failed | refused | yielded | interrupted
    reason text not null,               -- schedule | first | overdue | operator
    repo integer,                       -- null: none was chosen yet
    label text,
    rto_s real,
    rpo_s real,
    pid integer not null,
    record text not null,               -- JSON of the whole drill
    evidence_sha256 text                -- of evidence.json; null: none was written, or its time is over
) strict;
create index drills_newest on drills (began_at);
create index drills_of_backup on drills (repo, label);
