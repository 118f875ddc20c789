-- Copies of the cluster at a moment of the past. What is in their directories is the truth; this is the list.
create table copies (
    id text primary key,
    directory text not null,
    purpose text not null,              -- preview | drill | rows
    stage text not null,                -- making | ready | promoted
    target text not null,               -- what was asked for: a moment, or a place in the WAL
    target_at text,                     -- the moment it stands at
    last_commit_at text,                -- the newest commit in it
    repo integer not null,
    label text not null,                -- the backup it was made from
    timeline integer not null,
    made_at text not null,
    made_by text not null,
    last_used_at text not null
) strict;
