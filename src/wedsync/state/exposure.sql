-- How much would be lost if the machine went now, measured.

create table exposure (                 -- at one moment: what no other machine has
    at text primary key,
    mode text not null,                 -- a zero_loss.Protection: archive | async | sync | waiting | degraded
    at_stake_s real not null,           -- age of the oldest acknowledged commit that would be lost
    at_stake_bytes integer not null,    -- WAL behind the newest safe place
    slot_status text,                   -- of the receiver's slot: reserved | extended | unreserved | lost
    slot_bytes integer                  -- WAL that the server keeps for it
) strict, without rowid;
