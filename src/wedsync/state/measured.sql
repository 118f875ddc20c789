-- A remote region is slower than a local disk, a copy at low priority slower than a recovery.
alter table measurements add column way text;     -- whole | delta | copy; null: before this was noted
alter table measurements add column repo integer; -- null: it came from none
