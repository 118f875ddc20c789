"""A store refuses, is overloaded, or somebody else answers in its place."""

from dataclasses import replace
from pathlib import Path

from msgspec import structs

from support.authority import Authority
from support.clusters import small_config
from support.regions import Region, S3Store, s3_store
from wedsync.backup import PgBackRest
from wedsync.cluster import Engine
from wedsync.config import Home


async def seen_of(engine: Engine, home: Home, region: Region, **options: str) -> str:
    """What is told of a repository that cannot be read."""
    config = small_config()
    backup = structs.replace(config.backup, repo2=region.repository(home, **options))
    home.run.mkdir(exist_ok=True)
    pgbackrest = PgBackRest(engine=engine, home=home, config=structs.replace(config, backup=backup))
    pgbackrest.write_config()
    status = (await pgbackrest.catalogue((2,))).repositories[0]
    assert not status.ok
    assert not status.wrong_key
    return status.message


async def test_wrong_credentials_are_said_to_be_that(engine: Engine, home: Home, s3: S3Store) -> None:
    """Lost: nothing.
    Seen: the store of repo2 refuses our credentials (WS331).
    """
    told = await seen_of(engine, home, s3.bucket(), **{"s3-key": "somebody-else"})
    assert "refuses our credentials" in told


async def test_a_bucket_that_is_not_there_is_said_to_be_missing(engine: Engine, home: Home, s3: S3Store) -> None:
    """Lost: nothing.
    Seen: the bucket or container of repo2 does not exist (WS333).
    """
    assert "does not exist" in await seen_of(engine, home, s3.bucket(), **{"s3-bucket": "nowhere"})


async def test_a_certificate_that_has_expired_is_not_believed(
    engine: Engine, home: Home, s3: S3Store, tmp_path: Path
) -> None:
    """Lost: nothing.
    Seen: whoever answers for repo2 cannot prove to be it: certificate has expired (WS332).
    """
    (tmp_path / "expired").mkdir()
    with s3_store(tmp_path / "expired", expired=True) as store:
        region = replace(s3.bucket(), authority=store.authority, port=store.port)
        told = await seen_of(engine, home, region)
    assert "cannot prove to be it" in told
    assert "expired" in told


async def test_another_authority_is_not_believed(engine: Engine, home: Home, s3: S3Store, tmp_path: Path) -> None:
    """Lost: nothing.
    Seen: whoever answers for repo2 cannot prove to be it (WS332).
    """
    region = s3.bucket()
    stranger = Authority(tmp_path)
    stranger.sign("nobody")
    other = replace(region, authority=stranger)
    assert "cannot prove to be it" in await seen_of(engine, home, other)
