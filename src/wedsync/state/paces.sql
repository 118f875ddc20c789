-- A drill at the lowest priority takes longer than one that somebody waits for.
alter table measurements add column pace text; -- as Effort.pace; null: not noted, or a recovery in place
