"""The facts of a home, gathered for whoever asks: command line and gateway see the same."""

import sqlite3
from datetime import timedelta

from wedsync.app.platform import Platform
from wedsync.app.proofs import outlook_facts, proof_facts
from wedsync.app.running import configuration_changed_at, receives_here, running_pid
from wedsync.backup import Survey
from wedsync.errors import CannotConnect, StateProblem
from wedsync.monitoring import (
    Facts,
    KeptBackup,
    LatestSurvey,
    RecoveryWindow,
    Repository,
    Sources,
    StatusView,
    SurveyFacts,
    WalGap,
    collect,
    judge,
)
from wedsync.state import StateStore

_PAGE_WAITS = timedelta(seconds=1)
_COMMAND_WAITS = timedelta(seconds=5)
SERVICES = ("supervisor", "keeper", "gateway")


class StatusReader:
    """Reads the facts of one home again and again."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._latest = LatestSurvey(self.survey, clock=platform.clock)

    async def survey(self) -> SurveyFacts:
        """Ask the repositories now. Raises `UsageProblem` where no backups are taken."""
        self._platform.require_backups("recovery window")
        found = await self._platform.surveyor.survey()
        return survey_facts(found, self._platform)

    async def facts(self, *, survey_within: timedelta | None = None) -> Facts:
        """Everything that can be known within about a second.

        `survey_within` is for commands: they wait so long for the repositories, and longer for the rest too. A
        machine under load is not a database that is down.
        """
        platform = self._platform
        sources = Sources(
            config=platform.config,
            home=platform.home,
            target=platform.monitor_target,
            survey=self._latest if survey_within is None else self.survey,
            state=self._state(),
            server_state=platform.server.state if platform.is_local else None,
            proof=lambda: proof_facts(platform),
            outlook=lambda: outlook_facts(platform),
            configuration_changed_at=lambda: configuration_changed_at(platform.home),
            processes={
                name: lambda name=name: running_pid(platform, name)
                for name in (*SERVICES, *(("receiver",) if receives_here(platform) else ()))
            },
        )
        within = _PAGE_WAITS if survey_within is None else _COMMAND_WAITS
        return await collect(sources, clock=platform.clock, within=within, survey_within=survey_within)

    async def view(self) -> StatusView:
        """What the console shows."""
        facts = await self.facts()
        return StatusView(facts=facts, verdict=judge(facts, self._platform.clock.now().astimezone()))

    async def ready(self) -> str | None:
        """Why the database cannot be used now; `None` if it can."""
        try:
            connection = await self._platform.monitor_target.connect(connect_timeout=timedelta(seconds=2))
        except CannotConnect as error:
            return error.message
        await connection.close()
        return None

    def _state(self) -> StateStore | None:
        try:
            return self._platform.state
        except (StateProblem, sqlite3.Error):
            return None


def survey_facts(survey: Survey, platform: Platform) -> SurveyFacts:
    """What monitoring needs to know of a survey of the repositories."""
    return SurveyFacts(
        surveyed_at=platform.clock.now(),
        repositories=tuple(
            Repository(repo=status.repo, ok=status.ok, message=status.message)
            for status in survey.catalogue.repositories
        ),
        backups=tuple(
            KeptBackup(
                repo=backup.repo,
                label=backup.label,
                kind=str(backup.kind),
                started_at=backup.started_at,
                finished_at=backup.finished_at,
                database_bytes=backup.database_bytes,
                repo_bytes=backup.repo_bytes,
                held=backup.held,
                damaged=backup.damaged,
                broken=backup.broken is not None,
            )
            for backup in survey.catalogue.backups
        ),
        windows=tuple(
            RecoveryWindow(from_at=window.from_at, to_at=window.to_at, repos=window.repos)
            for window in survey.windows.windows
        ),
        gaps=tuple(
            WalGap(
                repo=gap.repo,
                first=gap.first,
                last=gap.last,
                segments=gap.segments,
                from_at=gap.from_at,
                to_at=gap.to_at,
                covered_by=gap.covered_by,
            )
            for gap in survey.windows.gaps
        ),
    )
