-- A hall and its seats: relations of every kind, also through views on tables that nobody sees, and functions that fail.

create schema cellar;
create schema hall;
create schema attic;
create schema "Odd Schema";
comment on schema hall is E'The hall\n\nWho sits where';

create table cellar.people (
    id int primary key, name text not null, partner int unique references cellar.people, boss int references cellar.people
);
create table cellar.secrets (id int primary key);
create view hall.people as select id, name, partner as partner_id, boss as boss_id from cellar.people;

create table hall.tables (id int primary key, name text not null unique, size int check (size between 1 and 12));
comment on table hall.tables is E'Where people sit\nRound ones first';
comment on column hall.tables.size is 'Seats';
create table hall.seats (
    table_id int references hall.tables, person_id int references cellar.people, place int, primary key (table_id, person_id)
);
create view hall.named_seats as
    select s.table_id, s.person_id, s.place, p.name from hall.seats s join cellar.people p on p.id = s.person_id;
create table hall.orders (
    id int primary key,
    table_id int not null,
    placed_by int constraint orders_placed_by references cellar.people,
    served_by int constraint orders_served_by references cellar.people,
    constraint orders_table foreign key (table_id) references hall.tables
);
create table hall.bills (order_id int primary key references hall.orders, amount numeric(9, 2) not null);
create view hall.big_bills as select order_id, amount from hall.bills where amount > 100;
create table hall.diary (id int primary key, words text);
create table attic.boxes (id int primary key, label text);
create table "Odd Schema"."Odd Table" (id int primary key);

create function hall.neighbours(hall.tables) returns setof hall.tables language sql stable
    as $$ select * from hall.tables t where abs(t.id - $1.id) = 1 $$;
create function hall.first_order(hall.tables) returns setof hall.orders rows 1 language sql stable
    as $$ select * from hall.orders o where o.table_id = $1.id order by o.id limit 1 $$;
create function hall.label(hall.tables) returns text language sql stable as $$ select $1.name || ' #' || $1.id $$;

create function hall.raise_plain() returns void language plpgsql stable as
    $$ begin raise exception 'no cake' using detail = 'eaten', hint = 'bake'; end $$;
create function hall.raise_state(state text, message text default 'so it is') returns void language plpgsql stable as
    $$ begin raise exception using errcode = state, message = raise_state.message; end $$;
create function hall.raise_answer(message text, detail text) returns void language plpgsql stable as
    $$ begin raise sqlstate 'PGRST' using message = raise_answer.message, detail = raise_answer.detail; end $$;
create function hall.write_diary() returns void language sql volatile as $$ insert into hall.diary values (99) $$;
create function hall.calls_what_writes() returns void language sql stable as $$ select hall.write_diary() $$;
create function hall.two_rows() returns int language sql stable as $$ select (select generate_series(1, 2)) $$;
create function hall.endless(n int) returns int language plpgsql stable as $$ begin return hall.endless(n); end $$;
create function hall.pick(a int) returns int language sql immutable as $$ select a $$;
create function hall.pick(a text) returns text language sql immutable as $$ select a $$;
create function hall.seat_people(names text[], table_id int default 1) returns int language sql volatile
    as $$ select cardinality(names) $$;
comment on function hall.seat_people is 'Seats several';
create function hall.hidden_from_anon() returns int language sql immutable as $$ select 1 $$;

insert into cellar.people values (1, 'Ann', null, null), (2, 'Bob', 1, 1), (3, 'Cleo', null, 1);
insert into hall.tables values (1, 'Rose', 8), (2, 'Lily', 4), (3, 'Iris', 2);
insert into hall.seats values (1, 1, 1), (1, 2, 2), (2, 3, 1);
insert into hall.orders values (1, 1, 1, 3), (2, 2, 3, 3);
insert into hall.bills values (1, 250), (2, 30);
insert into attic.boxes values (1, 'dresses');

grant usage on schema hall, attic to anon, authenticated;
grant select on hall.tables, hall.seats, hall.named_seats, hall.people to anon;
grant select (id) on hall.diary to anon;
grant select, insert, update, delete on all tables in schema hall to authenticated;
grant select on all tables in schema attic to authenticated;
revoke execute on function hall.hidden_from_anon() from public;
grant execute on function hall.hidden_from_anon() to authenticated;
