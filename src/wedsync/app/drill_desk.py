"""What the operations API does with drills of a home."""

from collections.abc import Sequence

from wedsync.api.operations import DrillRequest, Evidence
from wedsync.app.background import Background
from wedsync.app.backups import require_repo
from wedsync.app.desks import refuse_while_recovering
from wedsync.app.drills import drill_evidence, drill_order, find_drill, list_drills, require_drills
from wedsync.app.platform import Platform
from wedsync.drills import Drill
from wedsync.errors import Busy
from wedsync.state import Run, RunKind


class HomeDrills:
    """What `/api/drills` does."""

    def __init__(self, platform: Platform, background: Background) -> None:
        self._platform = platform
        self._background = background

    async def begin(self, request: DrillRequest, *, by: str) -> Run:
        """Begin a drill. Raises `Busy` beside a drill, a backup or a recovery."""
        platform = self._platform
        require_drills(platform)
        require_repo(platform, request.repo)
        drill_order(repo=request.repo, label=request.backup, at=request.at)
        refuse_while_recovering(platform)
        holder = platform.driller.under_way() or platform.backup_runs.under_way()
        if holder is not None:
            raise Busy(
                "a drill or a backup is under way",
                detail=f"{holder.purpose}, since {holder.since}",
                hint="wait for its end",
            )
        wanted = {"repo": request.repo, "label": request.backup, "at": request.at}
        beside = {RunKind.DRILL, RunKind.BACKUP, RunKind.RECOVERY, RunKind.UNDO}
        return self._background.begin(RunKind.DRILL, wanted, by=by, beside=beside)

    def run(self, run: str) -> Run:
        """How a run stands."""
        return self._background.find(run)

    def runs(self, limit: int) -> Sequence[Run]:
        """What was asked for over HTTP."""
        return self._background.newest({RunKind.DRILL}, limit=limit)

    def drills(self, limit: int) -> Sequence[Drill]:
        """Every drill of the home."""
        return list_drills(self._platform, limit=limit)

    def drill(self, drill: str) -> Drill:
        """One drill. Raises `NotThere`."""
        return find_drill(self._platform, drill)

    def evidence(self, drill: str) -> Evidence:
        """Its evidence. Raises `NotThere`."""
        encoded, page, whole = drill_evidence(self._platform, drill)
        return Evidence(
            whole=whole,
            sha256=self._platform.drill_records.evidence_sha256(drill),
            evidence=encoded.decode(errors="replace"),
            report_html=page.decode(errors="replace"),
        )
