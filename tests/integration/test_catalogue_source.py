"""The catalogue follows the database, and nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from support.databases import fresh_database
from support.events import eventually
from support.migrations import tell, write
from wedsync.cluster import Server
from wedsync.database import ConnectionTarget
from wedsync.database.catalogue import Catalogue, CatalogueSource
from wedsync.errors import CatalogueNotLoaded, SchemaMissing
from wedsync.events import counts
from wedsync.migrations import Conditions, up

NEVER = timedelta(days=1)


@pytest.fixture
async def database(cluster: Server) -> AsyncIterator[ConnectionTarget]:
    async with fresh_database(cluster) as target:
        await tell(target, "create schema api; create table api.guests (id int primary key)")
        yield target


@asynccontextmanager
async def _running(source: CatalogueSource) -> AsyncIterator[CatalogueSource]:
    service = asyncio.create_task(source.run())
    try:
        yield source
    finally:
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)


def _names(catalogue: Catalogue) -> set[str]:
    return {name for _, name in catalogue.tables}


async def _loaded(source: CatalogueSource) -> Catalogue:
    def ask() -> Catalogue | None:
        try:
            return source.current
        except CatalogueNotLoaded:
            return None

    found = await eventually(ask, what="a catalogue")
    assert found is not None
    return found


async def _listening(target: ConnectionTarget) -> None:
    async def ask() -> bool:
        async with await target.connect() as connection:
            cursor = await connection.execute(
                "select count(*) from pg_stat_activity where query ~* '^listen' and datname = current_database()"
                " and state = 'idle'"
            )
            return await cursor.fetchone() == (1,)

    await eventually(ask, what="somebody listens")


async def test_until_the_first_load_nothing_is_known(database: ConnectionTarget) -> None:
    with pytest.raises(CatalogueNotLoaded, match="not read yet"):
        _ = CatalogueSource(database, ["api"]).current


async def test_a_notification_brings_the_new_catalogue(database: ConnectionTarget) -> None:
    async with _running(CatalogueSource(database, ["api"], poll=NEVER)) as source:
        assert _names(await _loaded(source)) == {"guests"}
        await _listening(database)
        await tell(database, "create table api.songs (id int primary key); notify pgrst, 'reload schema'")
        await eventually(lambda: _names(source.current) == {"guests", "songs"}, what="the new table")


async def test_our_migrations_say_that_the_schema_changed(database: ConnectionTarget, tmp_path: Path) -> None:
    directory = tmp_path / "versions"
    directory.mkdir()
    write(directory, "0001_songs", "create table api.songs (id int primary key);")
    write(directory, "0002_later", "-- transaction: none\ncreate table api.later (id int primary key);\n")
    async with _running(CatalogueSource(database, ["api"], poll=NEVER)) as source:
        await _loaded(source)
        await _listening(database)
        await up(database, directory=directory, conditions=Conditions(by="alice"))
        await eventually(lambda: _names(source.current) == {"guests", "songs", "later"}, what="the new tables")


async def test_without_any_notification_it_is_noticed_with_time(database: ConnectionTarget) -> None:
    source = CatalogueSource(database, ["api"], poll=timedelta(milliseconds=50))
    async with _running(source):
        await _loaded(source)
        await tell(database, "create table api.songs (id int primary key)")
        await eventually(lambda: "songs" in _names(source.current), what="the new table")


async def test_an_unknown_name_asks_and_only_a_change_is_loaded(database: ConnectionTarget) -> None:
    source = CatalogueSource(database, ["api"])
    seen = await source.refresh()
    try:
        assert not await source.refresh_if_changed(seen)
        assert source.current is seen
        await tell(database, "alter table api.guests add column name text")
        assert await source.refresh_if_changed(seen)
        assert "name" in source.current.tables["api", "guests"].columns
        assert await source.refresh_if_changed(seen)  # a slower request that saw the old one too
    finally:
        await source.close()


async def test_many_unknown_names_ask_together(database: ConnectionTarget) -> None:
    source = CatalogueSource(database, ["api"])
    seen = await source.refresh()
    try:
        await tell(database, "create table api.songs (id int primary key)")
        before = counts["catalogue_loaded"]
        assert all(await asyncio.gather(*(source.refresh_if_changed(seen) for _ in range(50))))
        assert counts["catalogue_loaded"] == before + 1
    finally:
        await source.close()


async def test_what_cannot_be_loaded_leaves_the_old_one(database: ConnectionTarget) -> None:
    source = CatalogueSource(database, ["api"])
    seen = await source.refresh()
    try:
        await tell(database, "alter schema api rename to gone")
        before = counts["catalogue_load_failed"]
        assert not await source.refresh_if_changed(seen)
        assert source.current is seen
        assert counts["catalogue_load_failed"] == before + 1
        with pytest.raises(SchemaMissing):
            await source.refresh()
        await tell(database, "alter schema gone rename to api; create table api.songs (id int primary key)")
        assert await source.refresh_if_changed(seen)
        assert "songs" in _names(source.current)
    finally:
        await source.close()


async def test_a_view_that_a_migration_holds_keeps_nobody_waiting(database: ConnectionTarget) -> None:
    await tell(database, "create view api.names as select id from api.guests")
    source = CatalogueSource(database, ["api"], poll=timedelta(milliseconds=50))
    async with _running(source):
        seen = await _loaded(source)
        async with await database.connect(autocommit=False) as migration:
            await migration.execute("alter view api.names set (security_barrier)")
            await tell(database, "create table api.songs (id int primary key)")
            async with asyncio.timeout(20):
                assert not await source.refresh_if_changed(seen)
            assert source.current is seen
        await eventually(lambda: "songs" in _names(source.current), what="the table, once the lock is gone")


async def test_it_outlives_a_restart_of_the_server(own_cluster: Server) -> None:
    async with fresh_database(own_cluster) as target:
        await tell(target, "create schema api")
        async with _running(CatalogueSource(target, ["api"], poll=NEVER)) as source:
            seen = await _loaded(source)
            await _listening(target)
            await own_cluster.stop("immediate")
            assert not await source.refresh_if_changed(seen)  # the old one goes on serving
            await own_cluster.start(archive_command="/bin/true pgbackrest", deadline=timedelta(seconds=60))
            await tell(target, "create table api.songs (id int primary key)")
            await eventually(lambda: "songs" in _names(source.current), what="the table made after the restart")
