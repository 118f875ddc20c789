"""Work that a call of the operations API begins: it runs in a process of its own, as a command would.

A backup outlives a restart of the gateway, and a recovery needs neither gateway nor database. How it stands is in
the state file; that its process lives is shown by a lock, which nobody holds once the process is gone.
"""

import os
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any, assert_never

import msgspec

from wedsync.app.backups import take_backups
from wedsync.app.copies import make_preview
from wedsync.app.drills import drill_order, run_drill
from wedsync.app.platform import Platform
from wedsync.app.problems import as_problem
from wedsync.app.recoveries import carry_out, plan_recovery, plan_undo
from wedsync.app.running import service_lock
from wedsync.app.verifications import verify_backups
from wedsync.backup import BackupKind
from wedsync.drills import drill_json
from wedsync.errors import WedsyncError
from wedsync.process import is_alive, spawn_detached
from wedsync.recovery import Phase
from wedsync.state import OperationRuns, Run, RunKind, RunState

_COMES_UP = timedelta(seconds=30)
_TOLD_EVERY_S = 0.5
_ENDED = {
    "code": WedsyncError.code,
    "message": "its process ended in the middle",
    "detail": None,
    "hint": "look at wedsync status; what was begun can be begun again",
}


class Background:
    """Begins work of a home and knows how it stands."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._runs = OperationRuns(platform.state)
        self._children: set[int] = set()

    def begin(self, kind: RunKind, wanted: Mapping[str, Any], *, by: str, beside: Collection[RunKind]) -> Run:
        """Start a process that does it. Raises `Busy` while one of a kind in `beside` is under way."""
        self._settle()
        home = self._platform.home
        run = self._runs.ask(kind, dict(wanted), by=by, at=self._platform.clock.now(), beside=beside)
        pid = spawn_detached(
            [sys.executable, "-P", "-m", "wedsync", "operation", run.id, "--home", str(home.root)],
            log=home.log / "operations.out",
            cwd=home.root,
        )
        self._children.add(pid)
        self._runs.began(run.id, pid)
        return self._runs.find(run.id)

    def find(self, run: str) -> Run:
        """How a run stands. Raises `NotThere`."""
        self._settle()
        return self._runs.find(run)

    def newest(self, kinds: Collection[RunKind], *, limit: int) -> tuple[Run, ...]:
        """The last runs, newest first."""
        self._settle()
        return self._runs.newest(kinds, limit=limit)

    def _settle(self) -> None:
        """Note which runs have no process any more."""
        for pid in [pid for pid in self._children if not is_alive(pid)]:
            self._children.remove(pid)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        now = self._platform.clock.now()
        for run in self._runs.running():
            if service_lock(self._platform, _lock_name(run.id)).holder() is not None:
                continue
            coming = now - run.asked_at < _COMES_UP and (run.pid is None or is_alive(run.pid))
            if not coming:
                self._runs.fail(run.id, _ENDED, at=now)


async def do_run(platform: Platform, run_id: str) -> bool:
    """Do what was asked for, in this process; whether it was done. What went wrong is written down."""
    runs = OperationRuns(platform.state)
    lock = service_lock(platform, _lock_name(run_id))
    with lock:
        run = runs.find(run_id)
        if run.state is not RunState.RUNNING:
            return False
        runs.began(run.id, os.getpid())
        try:
            result = await _do(platform, run, _teller(runs, run))
        except BaseException as error:
            problem = _problem(error)
            runs.fail(run.id, problem, at=platform.clock.now())
            if not isinstance(error, Exception) or problem["code"] == WedsyncError.code:
                raise
            return False
        runs.end(run.id, msgspec.to_builtins(result), at=platform.clock.now())
        lock.remove()
    return True


async def _do(platform: Platform, run: Run, tell: Callable[..., None]) -> object:
    wanted = run.wanted
    match run.kind:
        case RunKind.BACKUP:
            return await take_backups(
                platform,
                BackupKind(wanted["type"]),
                repo=wanted["repo"],
                by=run.asked_by,
                on_progress=lambda repo, percent: tell(repo=repo, percent=round(percent, 1)),
            )
        case RunKind.VERIFICATION:
            return await verify_backups(platform, repo=wanted["repo"])
        case RunKind.RECOVERY | RunKind.UNDO:
            if run.kind is RunKind.UNDO:
                plan = await plan_undo(platform)
            else:
                plan = await plan_recovery(platform, wanted["to"], changes=True)

            def report(phase: Phase, words: str) -> None:
                tell(step=str(phase), words=words)

            done = await carry_out(platform, plan, by=run.asked_by, report=report)
            return done.to_json()
        case RunKind.DRILL:
            order = drill_order(repo=wanted["repo"], label=wanted["label"], at=wanted["at"])
            drill = await run_drill(
                platform, order, by=run.asked_by, report=lambda phase, words: tell(step=str(phase), words=words)
            )
            return drill_json(drill)
        case RunKind.PREVIEW:
            made = await make_preview(
                platform,
                wanted["at"],
                new=wanted["new"],
                by=run.asked_by,
                report=lambda phase, words: tell(step=str(phase), words=words),
            )
            told = made.to_json()
            del told["connection"]  # where a home is, is nobody's business over HTTP
            return told
        case _:
            assert_never(run.kind)


def _teller(runs: OperationRuns, run: Run) -> Callable[..., None]:
    """Writes progress down, a few times a second at the most, and each new step."""
    told_at, told = float("-inf"), {}

    def tell(**progress: object) -> None:
        nonlocal told_at, told
        new_step = {key: progress.get(key) for key in ("repo", "step")} != told
        if not new_step and monotonic() - told_at < _TOLD_EVERY_S:
            return
        told_at, told = monotonic(), {key: progress.get(key) for key in ("repo", "step")}
        runs.progress(run.id, dict(progress))

    return tell


def _problem(error: BaseException) -> dict[str, Any]:
    known = error if isinstance(error, WedsyncError) else None
    if known is None and isinstance(error, Exception):
        known = as_problem(error)
    if known is None:
        known = WedsyncError(f"it was stopped before its end ({type(error).__name__})")
    return {"code": known.code, "message": known.message, "detail": known.detail, "hint": known.hint}


def _lock_name(run: str) -> str:
    return f"operation-{run}"
