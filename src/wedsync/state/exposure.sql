-- How much would be lost if the machine went now, measured.

create table exposure (                 -- at one moment: what no other machine has
    at text primary key,
    mode text not null,                 -- archive | async | sync | degraded | waiting: what protected commits then
    at_stake_s real not null,           -- age of the oldest acknowledged commit that would be lost
    at_stake_bytes integer not null,    -- WAL behind the newest safe place
    in_force_s real not null            -- what would be lost at the most: at_stake_s, rounded up by how exact it is
) strict, without rowid;
