-- A small season of weddings for the cases of the data API, with what a schema of one's own may have besides:
-- odd names, enums, arrays, ranges, JSON, composite keys and types, views, partitions, computed fields.

create schema planner;
create schema studio;
create schema library;

comment on schema planner is 'Weddings and who makes them';

set search_path = planner, library;

create type supplier_kind as enum ('venue', 'photographer', 'caterer', 'band');
create type diet as enum ('vegan', 'vegetarian', 'halal', 'none');
create type address as (street text, zip text);
create domain library.short_text as text check (length(value) < 100);

create table suppliers (
    id int primary key,
    name text not null,
    kind supplier_kind not null,
    agency_id int references suppliers,
    rating numeric(2, 1),
    languages text[] not null default '{}'
);

create table venues (
    id int primary key,
    name text not null unique,
    city text,
    capacity int,
    season daterange,
    located address
);

create table weddings (
    id int primary key,
    couple text not null,
    held_on date not null,
    venue_id int references venues,
    planner_id int constraint weddings_planner references suppliers,
    budget numeric,
    details jsonb,
    paid boolean
);

create table wedding_suppliers (
    wedding_id int references weddings,
    supplier_id int references suppliers,
    fee int,
    primary key (wedding_id, supplier_id)
);

create table sites (
    wedding_id int primary key references weddings,
    slug library.short_text not null,
    theme json
);

create table guests (
    id int primary key,
    wedding_id int not null references weddings,
    first_name text not null,
    last_name text not null,
    diet diet,
    coming boolean,
    seat int
);
create index on guests (wedding_id);

create table messages (
    id int primary key,
    body text not null,
    sender_id int constraint messages_sender references suppliers,
    recipient_id int constraint messages_recipient references suppliers,
    sent_at timestamptz not null
);

create table rooms (
    venue_id int references venues,
    number int,
    beds int not null,
    primary key (venue_id, number)
);

create table bookings (
    id int primary key,
    venue_id int not null,
    room_number int not null,
    guest_id int references guests,
    nights int4range not null,
    foreign key (venue_id, room_number) references rooms
);

create table payments (
    id int not null,
    wedding_id int references weddings,
    paid_on date not null,
    amount numeric not null,
    primary key (id, paid_on)
) partition by range (paid_on);
create table payments_2031 partition of payments for values from ('2031-01-01') to ('2032-01-01');
create table payments_2032 partition of payments for values from ('2032-01-01') to ('2033-01-01');

create table articles (
    id int primary key,
    title text not null,
    body jsonb,
    words tsvector generated always as (to_tsvector('english', title)) stored
);

create table measures (
    id int primary key,
    numbers int[],
    grid int[],
    span int4range,
    whole tstzrange
);

create table "Odd Names" (
    "Key" int primary key,
    "with space" text,
    "with-dash" text,
    "dotted.name" text,
    "quo""te" text,
    "comma,paren()" text,
    "$dollar" text,
    "ünïcode" text,
    "order" text,
    "select" text
);

create table empty_table (id int primary key, word text);

create view coming_guests as
    select id, wedding_id, first_name || ' ' || last_name as name, diet from guests where coming;

create view wedding_days as select id, couple, venue_id, held_on from weddings;

create function full_name(guests) returns text stable language sql
    as $$ select $1.first_name || ' ' || $1.last_name $$;

create function words_of(articles) returns tsvector immutable language sql
    as $$ select to_tsvector('english', $1.title) $$;

create function table_mates(guests) returns setof guests stable language sql
    as $$ select * from planner.guests g where g.wedding_id = $1.wedding_id and g.id <> $1.id $$;

create function the_wedding(guests) returns setof weddings rows 1 stable language sql
    as $$ select * from planner.weddings w where w.id = $1.wedding_id $$;

create table studio.albums (id int primary key, title text not null, cover bytea);

insert into suppliers values
    (1, 'Lumière', 'photographer', null, 4.8, '{de,fr}'),
    (2, 'Lumière Junior', 'photographer', 1, 3.9, '{de}'),
    (3, 'Grand Table', 'caterer', null, 4.1, '{en,de}'),
    (4, 'The Encores', 'band', null, null, '{}'),
    (5, 'Lumière Film', 'photographer', 1, 4.4, '{fr}');

insert into venues values
    (1, 'Lakehouse', 'Zürich', 120, '[2031-04-01,2031-11-01)', row('Seeweg 1', '8001')),
    (2, 'Old Mill', 'Bern', 60, '[2031-05-01,2031-10-01)', row('Mühle 2', '3000')),
    (3, 'Barn', null, 200, null, null);

insert into weddings values
    (1, 'Ada & Bo', '2031-06-07', 1, 1, 30000, '{"colour": "sage", "cake": {"tiers": 3, "flavours": ["lemon", "almond"]}}', true),
    (2, 'Cem & Dia', '2031-06-14', 2, null, 18000.50, '{"colour": "rust", "cake": {"tiers": 1, "flavours": []}}', false),
    (3, 'Eva & Flo', '2031-07-19', 1, 3, null, null, null),
    (4, 'Gil & Han', '2032-01-10', null, 1, 9000, '{"colour": null}', false);

insert into wedding_suppliers values (1, 1, 4000), (1, 3, 9000), (2, 3, 7000), (3, 4, 1500), (1, 4, 2500);

insert into sites values (1, 'ada-bo', '{"font": "serif"}'), (3, 'eva-flo', null);

insert into guests values
    (1, 1, 'Mia', 'Keller', 'vegan', true, 1),
    (2, 1, 'Noah', 'Keller', null, true, 2),
    (3, 1, 'Olga', 'Lang', 'halal', false, null),
    (4, 2, 'Paul', 'Meier', 'vegetarian', null, null),
    (5, 2, 'Quinn', 'O''Neil', 'vegan', true, 7),
    (6, 3, 'Rosa', '100% Real', 'none', true, 3);

insert into messages values
    (1, 'When do we eat?', 1, 3, '2031-06-01 10:00Z'),
    (2, 'At seven.', 3, 1, '2031-06-01 10:05Z'),
    (3, 'Playlist?', 4, null, '2031-06-02 09:00Z');

insert into rooms values (1, 101, 2), (1, 102, 1), (2, 101, 4);
insert into bookings values (1, 1, 101, 1, '[1,3)'), (2, 1, 101, 2, '[3,5)'), (3, 2, 101, null, '[2,6)');

insert into payments values
    (1, 1, '2031-02-01', 5000), (2, 1, '2031-05-01', 25000), (3, 2, '2031-03-15', 8000.25), (4, 4, '2032-01-01', 9000);

insert into articles (id, title, body) values
    (1, 'Choosing the perfect band', '{"text": "bands play loud music"}'),
    (2, 'How to seat guests', '{"text": "seating plans are fun"}'),
    (3, 'The impossible cake', '{"text": "cakes and more cakes"}');

insert into measures values
    (1, '{1,2,3}', '{{1,2},{3,4}}', '[1,10)', '[2031-01-01 00:00Z,2031-02-01 00:00Z)'),
    (2, '{4}', null, '[20,30)', null),
    (3, '{}', '{}', 'empty', null);

insert into "Odd Names" values
    (1, 'a b', 'a-b', 'a.b', 'a"b', 'a,(b)', '$1', 'größe', 'first', 'x'),
    (2, 'c', 'd', 'e', '''; drop table guests; --', '{f}', '$$', 'ß', 'second', 'y');

insert into studio.albums values (1, 'Ada & Bo', '\x6a7067');

grant usage on schema planner, studio, library to anon, authenticated, service_role;
grant select, insert, update, delete on all tables in schema planner, studio to anon, authenticated, service_role;
analyze;
