"""Drills of a real home: by the keeper, on the command line, over HTTP; what status and lists say afterwards."""

import asyncio
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest

from support.commands import PYTHON, SOURCE
from support.drills import GENTLE, drill, driller, nothing_left
from support.events import eventually
from support.operations import operations_of
from support.recoveries import Protected
from wedsync.app import list_backups, preview_target
from wedsync.app.proofs import logged_drills, proof_facts
from wedsync.app.timeline import read_timeline
from wedsync.backup import BackupKind, Catalogue
from wedsync.copies import Purpose
from wedsync.drills import DrillOrder, DrillService, Outcome, Pick, Reason
from wedsync.process import Finished, run
from wedsync.recovery import HappeningKind


@dataclass(slots=True)
class Shifted:
    """The machine's clock, moved."""

    by: timedelta

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by

    async def sleep(self, pause: timedelta) -> None:
        await asyncio.sleep(pause.total_seconds())


def service(own: Protected, *, after: timedelta, next_backup: timedelta | None = None) -> DrillService:
    """The keeper's service, so long after now."""
    clock = Shifted(by=after)

    async def busy_day() -> bool:
        return False

    async def next_backup_at() -> datetime | None:
        return None if next_backup is None else clock.now() + next_backup

    return DrillService(
        driller=driller(own),
        backups=own.platform.backup_records,
        config=own.platform.config,
        clock=clock,
        busy_day=busy_day,
        next_backup_at=next_backup_at,
    )


async def wedsync(own: Protected, *words: str, code: int = 0) -> Finished:
    done = await run(
        [*PYTHON, *words, "--home", own.home.root],
        deadline=timedelta(minutes=2),
        cwd=own.home.root,
        env={name: value for name, value in os.environ.items() if not name.startswith(("WEDSYNC_", "PG"))}
        | {"PYTHONPATH": str(SOURCE)},
    )
    assert done.exit_status == code, done.stdout + done.stderr
    return done


async def known(own: Protected) -> Catalogue:
    """The catalogue, copied into the state file."""
    return await own.platform.backup_runs.refresh()


async def test_the_keeper_proves_a_first_backup_soon_and_no_second_one_before_the_night(
    protected: Protected,
) -> None:
    await known(protected)
    oldest = min(item.finished_at for item in (await protected.platform.pgbackrest.catalogue()).backups)
    just_then = oldest - protected.platform.clock.now()
    assert await service(protected, after=just_then).step() is None  # the first backup was made just then
    first = await service(protected, after=timedelta(minutes=30)).step()
    assert first is not None
    assert first.outcome is Outcome.PASSED
    assert first.reason is Reason.FIRST
    assert first.asked_by == "keeper"
    facts = proof_facts(protected.platform)
    assert facts is not None
    assert facts.newest is not None
    assert first.source is not None
    assert facts.newest.label == first.source.label
    rotation = service(protected, after=timedelta(minutes=31)).rotation()
    assert rotation.next is not None
    assert rotation.next.repo != first.source.repo  # the other region's turn
    assert rotation.too_late == ()
    assert nothing_left(protected)


async def test_no_drill_begins_where_a_backup_falls_due_meanwhile(protected: Protected) -> None:
    await known(protected)
    first = await service(protected, after=timedelta(minutes=30)).step()
    assert first is not None
    tomorrow = timedelta(days=4)  # the proof is overdue then
    soon = service(protected, after=tomorrow, next_backup=timedelta(seconds=1))
    assert await soon.step() is None
    later = service(protected, after=tomorrow, next_backup=timedelta(minutes=20))
    again = await later.step()
    assert again is not None
    assert again.outcome is Outcome.PASSED


async def test_what_was_proven_is_listed_shown_and_told_to_the_database(protected: Protected) -> None:
    listed = await list_backups(protected.platform)
    assert {item.proof for item in listed.backups} == {None}
    done = await service_drill(protected)
    listed = await list_backups(protected.platform)
    proofs = [item.proof for item in listed.backups if item.proof is not None]
    assert [(proof.drill, proof.passed) for proof in proofs] == [(done, True)]
    timeline = await read_timeline(protected.platform, least=1_000_000)
    tried = [each for each in timeline.happenings if each.kind is HappeningKind.DRILL]
    assert [each.detail["drill"] for each in tried] == [done]
    shown = await wedsync(protected, "drill", "show", done)
    assert "evidence   whole" in shown.stdout
    assert "unproven" in (await wedsync(protected, "backup", "list")).stdout
    (protected.home.drills / done / "report.html").write_text("nothing")
    assert "changed" in (await wedsync(protected, "drill", "show", done, code=3)).stdout
    mirrored = await protected.platform.backup_mirror().step()
    assert mirrored is not None
    assert mirrored.drills == len(logged_drills(protected.platform)) == 1
    async with await protected.platform.owner_target.connect() as connection:
        rows = await (
            await connection.execute(
                "select status, details ->> 'drill' from backup_verification_log where service = 'drills'"
            )
        ).fetchall()
    assert rows == [(True, done)]
    again = await protected.platform.backup_mirror().step()
    assert again is not None
    assert again.drills == 0


async def service_drill(own: Protected) -> str:
    await known(own)
    done = await service(own, after=timedelta(minutes=30)).step()
    assert done is not None
    return done.id


async def test_a_backup_that_was_taken_just_now_is_restored_to_its_own_end(protected: Protected) -> None:
    await protected.commit()
    label = await protected.backup(BackupKind.FULL)
    done = await drill(protected, DrillOrder(repo=1))
    assert done.outcome is Outcome.PASSED, done.failed_checks
    assert done.source is not None
    assert done.source.label == label
    assert done.moment is None
    assert nothing_left(protected)


async def test_the_latest_moment_is_the_present(protected: Protected) -> None:
    """What was committed after the last archived segment is there as well."""
    before = await protected.moment()
    number = await protected.commit()
    kept = await driller(protected).run(
        DrillOrder(moment=Pick.NEWEST), reason=Reason.OPERATOR, by="test", effort=GENTLE, keep=True
    )
    assert kept.outcome is Outcome.PASSED, kept.failed_checks
    assert kept.restored_to is not None
    assert kept.restored_to > before
    (listed,) = protected.platform.copies.registry.all(Purpose.PREVIEW)
    copy = protected.platform.copies.open(listed.directory)
    try:
        async with await copy.target(dbname="postgres").connect() as connection:
            found = await (await connection.execute("select max(n) from marks")).fetchone()
        assert found == (number,)
    finally:
        await copy.remove()


async def test_a_copy_that_was_kept_is_a_preview_to_read_and_no_more(protected: Protected) -> None:
    await wedsync(protected, "drill", "run", "--at", "latest", "--keep")
    (listed,) = json.loads((await wedsync(protected, "recover", "preview", "--list", "--json")).stdout)["previews"]
    assert listed["running"]
    target = preview_target(protected.platform, listed["id"])
    async with await target.connect() as connection:
        await connection.execute("select count(*) from couples")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await connection.execute("create table written (n int)")
    await protected.platform.copies.stop_previews()  # as `down` does
    opened = await wedsync(protected, "recover", "preview", "--psql", listed["id"])
    assert opened.exit_status == 0  # psql at the end of its empty input
    await wedsync(protected, "recover", "preview", "--remove", listed["id"])
    assert nothing_left(protected)


async def test_a_copy_that_is_to_be_kept_counts_as_a_preview_from_the_beginning(protected: Protected) -> None:
    most = protected.platform.config.preview.most
    for _ in range(most):
        await wedsync(protected, "recover", "preview", "--at", "latest", "--new", "--json")
    refused = await wedsync(protected, "drill", "run", "--keep", code=1)
    assert "WS421" in refused.stderr
    (listed, *_) = protected.platform.copies.registry.all(Purpose.PREVIEW)
    assert len(protected.platform.copies.registry.all()) == most
    await wedsync(protected, "recover", "preview", "--remove", listed.id)
    await wedsync(protected, "drill", "run", "--keep")
    assert len(protected.platform.copies.registry.all(Purpose.PREVIEW)) == most
    for listed in protected.platform.copies.registry.all():
        await wedsync(protected, "recover", "preview", "--remove", listed.id)
    assert nothing_left(protected)


async def test_a_drill_with_all_checks_on_the_command_line_and_over_http(
    protected: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = await wedsync(protected, "drill", "run", "--repo", "2", "--at", "latest")
    assert ": passed" in done.stdout
    assert "page checksums" in done.stdout
    for name in [name for name in os.environ if name.startswith(("WEDSYNC_", "PG"))]:
        monkeypatch.delenv(name)  # of the tests, not of the processes that a gateway starts
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    async with operations_of(protected.platform) as client:
        await over_http(client)
    assert nothing_left(protected)


async def over_http(client: httpx.AsyncClient) -> None:
    began = await client.post("/drills", json={"repo": 1})
    assert began.status_code == 202, began.text
    address = began.headers["Location"].removeprefix("/api")

    async def look() -> dict[str, object] | None:
        found = (await client.get(address)).json()
        return found if found["state"] != "running" else None

    ended = await eventually(look, within_s=120, what="the drill ends")
    assert ended is not None
    assert ended["state"] == "done", ended
    result = ended["result"]
    assert isinstance(result, dict)
    assert result["passed"] is True
    assert all(check["ok"] for check in result["checks"])
    listed = (await client.get("/drills")).json()
    assert [item["passed"] for item in listed["drills"]] == [True, True]
    one = (await client.get(f"/drills/{result['id']}")).json()
    assert one["label"] == result["label"]
    evidence = (await client.get(f"/drills/{result['id']}/evidence")).json()
    assert evidence["whole"] is True
    assert "<h1>" in evidence["report_html"]
    assert (await client.get("/drills/20200101_000000_000")).status_code == 404
    assert (await client.post("/drills", json={"backup": "yesterday"})).status_code == 400
    assert (await client.post("/drills", json={"repo": 9})).status_code == 400
