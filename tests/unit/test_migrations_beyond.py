"""Which statements a shadow database cannot keep to itself, by their syntax trees."""

import pytest
from pglast import parse_sql

from wedsync.migrations.shadow.beyond import what_is_changed_beyond

BEYOND = {
    "create role somebody": "roles",
    "create user somebody": "roles",
    "alter role wedsync_owner connection limit 5": "roles",
    "alter role wedsync_owner in database wedsync set work_mem = '5MB'": "roles",
    "alter role a rename to b": "a role",
    "drop role wedsync_monitor": "roles",
    "grant anon to wedsync_monitor": "roles",
    "revoke anon from wedsync_monitor": "roles",
    "reassign owned by a to b": "roles",
    "drop owned by a": "roles",
    "comment on role anon is 'x'": "a role",
    "create database x": "a database",
    "drop database x": "a database",
    "alter database x set work_mem = '5MB'": "a database",
    "alter database x connection limit 5": "a database",
    "alter database x owner to b": "a database",
    "alter database x rename to other": "a database",
    "alter database x refresh collation version": "a database",
    "comment on database x is 'x'": "a database",
    "grant connect on database x to anon": "a database",
    "create tablespace t location '/x'": "a tablespace",
    "drop tablespace t": "a tablespace",
    "alter tablespace t owner to b": "a tablespace",
    "alter tablespace t set (random_page_cost = 1)": "a tablespace",
    "comment on tablespace t is 'x'": "a tablespace",
    "grant create on tablespace t to b": "a tablespace",
    "grant set on parameter work_mem to b": "a setting of the server",
    "alter system set work_mem = '5MB'": "settings of the server",
    "create subscription s connection 'x' publication p": "a subscription to another server",
    "drop subscription s": "a subscription to another server",
    "copy t to '/tmp/x'": "files or programs of the server's machine",
    "copy t from program 'x'": "files or programs of the server's machine",
}
WITHIN = [
    "create table t ()",
    "alter table t owner to b",
    "alter table t rename to u",
    "comment on table t is 'x'",
    "grant select on t to anon",
    "grant usage on schema s to anon",
    "alter default privileges grant select on tables to anon",
    "create extension pg_trgm",
    "create policy p on t",
    "set role anon",
    "set work_mem = '5MB'",
    "create publication p for table t",
    "insert into t values (1)",
]


@pytest.mark.parametrize(("text", "what"), BEYOND.items(), ids=list(BEYOND))
def test_a_statement_that_changes_more_than_its_database_is_known(text: str, what: str) -> None:
    assert what_is_changed_beyond(parse_sql(text)[0].stmt) == what


@pytest.mark.parametrize("text", WITHIN)
def test_any_other_statement_may_run_in_a_shadow(text: str) -> None:
    assert what_is_changed_beyond(parse_sql(text)[0].stmt) is None
