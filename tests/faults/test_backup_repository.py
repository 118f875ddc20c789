"""A repository that is damaged, encrypted with another key, or gone: what the operator is told."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.backups import backed_up_cluster, copy_repositories
from support.clusters import new_home, small_config
from wedsync.backup import (
    Backup,
    BackupKind,
    BackupRuns,
    PgBackRest,
    RestoreTarget,
    Surveyor,
    TargetKind,
    Verification,
    VerificationParts,
)
from wedsync.clock import SystemClock
from wedsync.cluster import Engine
from wedsync.config import Config, Home
from wedsync.errors import RestoreFailed, WedsyncError, WrongKey
from wedsync.state import StateStore, open_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A stopped cluster with a full and an incremental backup in repo1, a full one in repo2, and WAL."""

    home: Home
    config: Config
    full: Backup
    incr: Backup


@pytest.fixture(scope="module")
def source(engine: Engine, template: Home, tmp_path_factory: pytest.TempPathFactory) -> Source:
    async def prepare() -> Source:
        config = small_config()
        kept = new_home(tmp_path_factory.mktemp("kept"))
        home = new_home(tmp_path_factory.mktemp("source"))
        async with backed_up_cluster(engine, template, home, config) as own:
            await own.execute("create table big as select i, md5(i::text) from generate_series(1, 60000) i")
            full = await own.backup(BackupKind.FULL)
            for _ in range(3):
                await own.commit()
                await own.archive()
            incr = await own.backup(BackupKind.INCR)
            await own.backup(BackupKind.FULL, repo=2)
            for _ in range(3):
                await own.commit()
                await own.archive()
            await own.server.stop()
            for part in ("repo1", "repo2", "secrets", "pgdata"):
                shutil.copytree(home.root / part, kept.root / part, symlinks=True)
        return Source(home=kept, config=config, full=full, incr=incr)

    return asyncio.run(prepare())


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy of the repositories, to be damaged."""

    home: Home
    pgbackrest: PgBackRest
    state: StateStore

    @property
    def surveyor(self) -> Surveyor:
        return Surveyor(pgbackrest=self.pgbackrest, state=self.state, clock=SystemClock())

    async def verify(self, repo: int | None = None) -> Verification:
        parts = VerificationParts(
            pgbackrest=self.pgbackrest,
            surveyor=self.surveyor,
            state=self.state,
            clock=SystemClock(),
            find_copies=lambda _: (),
        )
        return await parts.verifier.verify(repo)

    def file(self, pattern: str) -> Path:
        return max(self.home.root.glob(pattern), key=lambda path: path.stat().st_size)


@pytest.fixture
async def copy(source: Source, home: Home) -> AsyncIterator[Copy]:
    pgbackrest, state = await copy_repositories(source.home, home, source.config)
    yield Copy(home=home, pgbackrest=pgbackrest, state=state)
    state.close()


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


async def test_a_whole_repository_is_ok_and_says_how_much_was_read(copy: Copy) -> None:
    """Lost: nothing; nothing is broken.
    Seen: `ok`, and how many files were read.
    """
    result = await copy.verify()
    assert result.problems == ()
    assert result.ok
    assert result.checked > 2000


async def test_a_flipped_bit_in_a_backup_file_is_named(copy: Copy, source: Source) -> None:
    """Lost: nothing: the other repository and the WAL lead to every moment.
    Seen: `backup verify` names backup and file, and ends with 3.
    """
    flip_a_bit(copy.file(f"repo1/backup/wedsync/{source.full.label}/pg_data/base/**/*.zst"))
    result = await copy.verify(1)
    assert not result.ok
    (problem,) = result.problems
    assert (problem.repo, problem.label) == (1, source.full.label)
    assert problem.file is not None
    assert problem.file.startswith("pg_data/base/")
    assert problem.problem in ("its content is not what was backed up", "it cannot be read")


async def test_a_truncated_bundle_is_found_and_a_restore_from_it_fails_by_name(
    copy: Copy, source: Source, tmp_path: Path
) -> None:
    """Lost: nothing: a restore from it stops with an error.
    Seen: `backup verify` names the backup; the restore says what it could not read.
    """
    bundle = copy.file(f"repo1/backup/wedsync/{source.full.label}/bundle/*")
    with bundle.open("r+b") as file:
        file.truncate(bundle.stat().st_size // 2)
    result = await copy.verify(1)
    assert not result.ok
    assert {problem.label for problem in result.problems} == {source.full.label}
    with pytest.raises(WedsyncError) as caught:
        await copy.pgbackrest.restore(
            repo=1,
            label=source.full.label,
            pgdata=tmp_path / "restored",
            target=RestoreTarget(kind=TargetKind.IMMEDIATE),
        )
    assert isinstance(caught.value, RestoreFailed) or caught.value.code.startswith("WS3")
    assert caught.value.detail


async def test_a_missing_file_is_named(copy: Copy, source: Source) -> None:
    """Lost: nothing.
    Seen: `backup verify` names the file: it is missing.
    """
    copy.file(f"repo1/backup/wedsync/{source.full.label}/pg_data/base/**/*.zst").unlink()
    (problem,) = (await copy.verify(1)).problems
    assert (problem.label, problem.problem) == (source.full.label, "it is missing")


async def test_a_backup_whose_manifest_is_gone_is_found_though_pgbackrest_says_ok(
    copy: Copy, source: Source
) -> None:
    """Lost: that backup; others lead to the same moments.
    Seen: `it is missing: this backup cannot be restored`.
    """
    for manifest in (copy.home.root / f"repo1/backup/wedsync/{source.incr.label}").glob("backup.manifest*"):
        manifest.unlink()
    assert (await copy.pgbackrest.verify(1)).status == "ok"
    (problem,) = (await copy.verify(1)).problems
    assert problem.problem == "it is missing: this backup cannot be restored"


async def test_a_backup_whose_directory_is_gone_is_found(copy: Copy, source: Source) -> None:
    """Lost: that backup; others lead to the same moments.
    Seen: `backup verify` names the backup.
    """
    shutil.rmtree(copy.home.root / f"repo1/backup/wedsync/{source.incr.label}")
    (problem,) = (await copy.verify(1)).problems
    assert problem.label == source.incr.label


async def test_a_missing_segment_is_found_though_pgbackrest_says_ok(copy: Copy) -> None:
    """Lost: nothing: the window of repo1 is split, repo2 serves.
    Seen: `1 WAL segment(s) missing inside the recovery window; repo2 has it`.
    """
    before = (await copy.surveyor.survey()).windows
    (archive,) = await copy.pgbackrest.archives(1)
    victim = archive.segments[-2]
    copy.file(f"repo1/archive/wedsync/*/*/{victim}-*").unlink()
    assert (await copy.pgbackrest.verify(1)).status == "ok"
    (problem,) = (await copy.verify()).problems
    assert problem.file == victim
    assert problem.problem == "1 WAL segment(s) missing inside the recovery window; repo2 has it"
    after = (await copy.surveyor.survey()).windows
    (gap,) = after.gaps
    assert (gap.repo, gap.first, gap.last) == (1, victim, victim)
    own = next(window for window in after.per_repo if window.repos == (1,))
    other = next(window for window in after.per_repo if window.repos == (2,))
    assert own.to_at < before.windows[0].to_at
    assert other.to_at == before.windows[0].to_at


async def test_a_missing_segment_of_a_backup_itself_names_the_backup(copy: Copy, source: Source) -> None:
    """Lost: that backup; others lead to the same moments.
    Seen: `backup verify` names backup and segment.
    """
    copy.file(f"repo1/archive/wedsync/*/*/{source.full.wal_start}-*").unlink()
    result = await copy.verify(1)
    assert (source.full.label, source.full.wal_start) in {
        (problem.label, problem.file) for problem in result.problems
    }


async def test_another_key_is_said_to_be_another_key(copy: Copy, source: Source, tmp_path: Path) -> None:
    """Lost: nothing: repo2 serves, and the right key opens repo1 again.
    Seen: `it was encrypted with another key than secrets/repo1_key`, or both copies of the file are damaged.
    """
    (copy.home.secrets / "repo1_key").write_text("of another repository")
    copy.pgbackrest.write_config()
    (problem,) = (await copy.verify(1)).problems
    assert problem.problem == (
        "the repository cannot be read: it was encrypted with another key than secrets/repo1_key,"
        " or backup.info and its copy are both damaged"
    )
    survey = await copy.surveyor.survey()
    assert [status.repo for status in survey.problems] == [1]
    assert [window.repos for window in survey.windows.windows] == [(2,)]
    with pytest.raises(WrongKey, match="another key"):
        await copy.pgbackrest.restore(
            repo=1,
            label=source.full.label,
            pgdata=tmp_path / "restored",
            target=RestoreTarget(kind=TargetKind.IMMEDIATE),
        )


async def test_a_key_whose_file_was_deleted_is_put_back_and_no_new_one_is_made(copy: Copy) -> None:
    """Lost: nothing.
    Seen: nothing: the key is taken from the backup engine's configuration.
    """
    key = copy.home.secrets / "repo1_key"
    before = key.read_text()
    key.unlink()
    copy.pgbackrest.write_config()
    assert key.read_text() == before
    assert (await copy.verify(1)).ok


async def test_a_repository_that_is_gone_is_a_problem_and_not_ok(copy: Copy) -> None:
    """Lost: nothing: repo2 serves.
    Seen: `empty, gone, or its disk is not mounted`, never `ok`.
    """
    shutil.rmtree(copy.home.root / "repo1")
    result = await copy.verify(1)
    assert not result.ok
    assert result.checked == 0
    assert "empty, gone, or its disk is not mounted" in result.problems[0].problem


async def test_nothing_at_all_is_never_ok(copy: Copy) -> None:
    """Lost: every backup; the live database is untouched.
    Seen: `backup verify` ends with 3, though no file is wrong.
    """
    shutil.rmtree(copy.home.root / "repo1")
    shutil.rmtree(copy.home.root / "repo2")
    assert not (await copy.verify()).ok
    assert not Verification(checked=0, problems=()).ok


async def test_the_catalogue_is_rebuilt_when_the_state_file_is_gone(copy: Copy, source: Source) -> None:
    """Lost: nothing: the repositories are the truth.
    Seen: the same backups and window as before.
    """
    copy.state.close()
    for file in copy.home.root.glob("state.db*"):
        file.unlink()
    shutil.rmtree(copy.home.pgdata)
    with closing(open_state(copy.home.state_db)) as state:
        runs = BackupRuns(pgbackrest=copy.pgbackrest, state=state, clock=SystemClock())
        assert runs.records.backups() == ()
        await runs.refresh()
        rebuilt = runs.records.backups()
        assert {(item.repo, item.label) for item in rebuilt} >= {(1, source.full.label), (1, source.incr.label)}
        assert {item.repo for item in rebuilt} == {1, 2}
        surveyor = Surveyor(pgbackrest=copy.pgbackrest, state=state, clock=SystemClock())
        (window,) = (await surveyor.survey()).windows.windows
        assert window.repos == (1, 2)


async def test_on_a_new_machine_repo2_and_its_key_are_enough(copy: Copy, source: Source, engine: Engine) -> None:
    """No data directory, no state file, no repo1: only the second region and the escrowed key.

    Lost: nothing that had reached repo2.
    Seen: the window of repo2, and a restore that works.
    """
    fresh = new_home(copy.home.root.parent / "fresh")
    shutil.copytree(copy.home.root / "repo2", fresh.root / "repo2")
    fresh.secrets.mkdir(mode=0o700)
    shutil.copy2(copy.home.secrets / "repo2_key", fresh.secrets / "repo2_key")
    pgbackrest = PgBackRest(engine=engine, home=fresh, config=source.config)
    pgbackrest.write_config()
    state = open_state(fresh.state_db)
    surveyor = Surveyor(pgbackrest=pgbackrest, state=state, clock=SystemClock())
    survey = await surveyor.survey()
    (window,) = survey.windows.windows
    assert window.repos == (2,)
    restored = await pgbackrest.restore(
        repo=2,
        label=survey.catalogue.of_repo(2)[-1].label,
        pgdata=fresh.pgdata,
        target=RestoreTarget(kind=TargetKind.TIME, at=window.from_at),
    )
    assert restored.files > 900
    assert (fresh.pgdata / "recovery.signal").exists()
    state.close()
