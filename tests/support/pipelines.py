"""Pools and work for tests of the pipeline."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from support.clusters import role_passwords
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.database.pipeline import PipelinePool, Result, Statement, Work

SCHEMA = """
    create table thing (id int primary key, owner text not null, name text);
    alter table thing enable row level security;
    create policy own on thing using (owner = current_setting('request.jwt.claims', true)::json ->> 'sub');
    create table late (id int, constraint only_once unique (id) deferrable initially deferred);
    create table noted (id text primary key, at timestamptz default now());
    grant select, insert, update, delete on thing, late, noted to authenticated;
    insert into thing select i, 'u' || i % 10, 'thing ' || i from generate_series(1, 1000) i;
"""
"""What the tests read and write; the owner of the database makes it."""


def work(
    text: str,
    *parameters: bytes | None,
    sub: str = "u1",
    role: str = "authenticated",
    read_only: bool = True,
    timeout: timedelta = timedelta(seconds=30),
    **more: Any,
) -> Work:
    """One request with one statement."""
    settings = (("request.jwt.claims", b'{"sub":"%s"}' % sub.encode()), ("search_path", b"public"))
    return Work(
        role=role,
        settings=(*settings, *more.pop("settings", ())),
        statements=(Statement(text.encode(), parameters),),
        read_only=read_only,
        statement_timeout_ms=round(timeout.total_seconds() * 1000),
        **more,
    )


def write(text: str, *parameters: bytes | None, **more: Any) -> Work:
    """One request that may change rows."""
    return work(text, *parameters, read_only=False, **more)


def value(results: list[Result]) -> bytes | None:
    """The one value of the last statement."""
    return results[-1].rows[0][0]


def gateway_login(server: Server, dbname: str) -> ConnectionTarget:
    """As the gateway signs in."""
    return replace(
        server.target("wedsync_gateway", dbname), password=role_passwords(server.home)["wedsync_gateway"]
    )


@asynccontextmanager
async def a_pool(target: ConnectionTarget, **options: Any) -> AsyncIterator[PipelinePool]:
    """A small pool on `target`."""
    async with PipelinePool(target, **({"min_size": 2, "max_size": 10} | options)) as pool:
        yield pool
