"""Work that goes on after the answer, and how it stands."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec

from wedsync.api.operations.operation import Answer, Problem
from wedsync.state import Run, RunKind, RunState
from wedsync.words import without_paths


class RunPlace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which run."""

    id: Annotated[str, msgspec.Meta(pattern="^[0-9_]{1,40}$")]


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50


class RunAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How a piece of work stands; `address` is where to look again."""

    id: str
    kind: RunKind
    state: RunState
    address: str
    asked_by: str
    asked_at: datetime
    finished_at: datetime | None
    wanted: Mapping[str, Any]
    progress: Mapping[str, Any] | None
    """Of a backup: `repo`, `percent`; of a recovery: `step`, `words`."""
    result: Any
    """What the command of the same name answers with `--json`; `null` before the end."""
    error: Problem | None


def run_answer(run: Run, *, below: str) -> RunAnswer:
    """A run as it is shown."""
    error = {name: value and without_paths(value) for name, value in run.error.items()} if run.error else None
    progress = run.progress
    if progress is not None:
        progress = {name: without_paths(it) if isinstance(it, str) else it for name, it in progress.items()}
    return RunAnswer(
        id=run.id,
        kind=run.kind,
        state=run.state,
        address=f"/api/{below}/runs/{run.id}",
        asked_by=run.asked_by,
        asked_at=run.asked_at,
        finished_at=run.finished_at,
        wanted=run.wanted,
        progress=progress,
        result=run.result,
        error=Problem(**error) if error else None,
    )


def begun(run: Run, *, below: str) -> Answer:
    """202: it was begun, and here is where to look."""
    content = run_answer(run, below=below)
    return Answer(content=content, status=202, headers={"Location": content.address})


def run_answers(runs: Sequence[Run], *, below: str) -> list[RunAnswer]:
    """Runs as they are shown."""
    return [run_answer(run, below=below) for run in runs]
