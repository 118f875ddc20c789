"""A table made by `migrate new --table`: clean by lint, applies, undone whole."""

import shutil
from pathlib import Path

import pytest

from support.databases import fresh_database
from wedsync.cluster import Server
from wedsync.migrations import SHIPPED, new_migration, read_files, read_fingerprint, up
from wedsync.migrations.lint import lint


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The shipped migrations, to be added to."""
    made = tmp_path / "versions"
    shutil.copytree(SHIPPED, made)
    return made


async def test_the_template_of_a_table_is_clean_and_applies_and_its_rollback_takes_it_back(
    cluster: Server, directory: Path
) -> None:
    async with fresh_database(cluster) as target:
        await up(target, directory=directory)
        before = await read_fingerprint(target)
        async with await target.connect() as connection:
            watched = await (await connection.execute("select count(*) from audit.watched")).fetchone()
        made = new_migration("seating plan", directory=directory, table=True)
        report = await lint(read_files(directory), only={made.id})
        assert [file.id for file in report.files] == [made.id]
        assert report.is_clean(strict=True), report
        run = await up(target, directory=directory)
        assert [row.id for row in run.applied] == [made.id]
        assert await read_fingerprint(target) != before
        async with await target.connect() as connection:
            row = await (await connection.execute("select count(*) from audit.unwatched()")).fetchone()
            assert row == (0,)
            await connection.execute(made.rollback.read_bytes())
            assert await (await connection.execute("select count(*) from audit.watched")).fetchone() == watched
        assert await read_fingerprint(target) == before
