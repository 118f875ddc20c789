"""Build the objects of one home, each once, each when it is first asked for."""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wedsync.clock import Clock, SystemClock
from wedsync.config import Config, Home, LoadedConfig, Profile, load_config
from wedsync.database import ConnectionTarget
from wedsync.errors import UsageProblem

if TYPE_CHECKING:  # a command pays only for what it asks for: see __getattr__ of wedsync.app
    from wedsync.backup import (
        BackupMirror,
        BackupRecords,
        BackupRuns,
        BackupService,
        ClusterAccess,
        HeartbeatService,
        PgBackRest,
        RegionWatch,
        Surveyor,
        VerificationParts,
        Verifier,
    )
    from wedsync.cluster import Engine, Secrets, Server
    from wedsync.copies import Copies, PreviewService
    from wedsync.drills import Driller, DrillRecords, DrillService
    from wedsync.drills.witness import WitnessService, WitnessTaker
    from wedsync.maintenance import JobService, RoutineService, RunMigration
    from wedsync.migrations import Conditions, ShadowMaker
    from wedsync.recovery import Recoverer, Shelter
    from wedsync.state import StateStore
    from wedsync.tenants import Eraser, WeddingCalendar
    from wedsync.zero_loss import Receiver, ZeroLossService

PASSWORD_ROLES = ("wedsync_owner", "wedsync_monitor", "wedsync_gateway")
"""Roles that connect over TCP, each with a password in `secrets/<role>`."""
_MIGRATION_WAITS = timedelta(seconds=10)
"""For transactions that write, that what the database holds can be recorded before its schema changes."""
_DEBIAN_SOCKETS = "/var/run/postgresql"


class Platform:
    """One home and everything that works on it. Opens nothing by itself but the state file."""

    def __init__(
        self,
        home: Home,
        environment: Mapping[str, str],
        *,
        flags: Mapping[str, object] | None = None,
        operator: str = "wedsync",
    ) -> None:
        """`operator` is whoever gives the command, for the audit trail."""
        self.home = home
        self.operator = operator
        self.loaded: LoadedConfig = load_config(home, environment, flags=flags)
        self.clock: Clock = SystemClock()

    @property
    def config(self) -> Config:
        """The configuration of the home."""
        return self.loaded.config

    @property
    def is_local(self) -> bool:
        """Whether the platform runs its own cluster."""
        return self.config.profile is Profile.LOCAL

    def require_local(self, what: str) -> None:
        """Refuse a command that only makes sense for a cluster of ours."""
        if not self.is_local:
            raise UsageProblem(
                f"{what} works on a cluster that the platform runs itself",
                detail=f"this home has profile {self.config.profile}",
                hint="wedsync doctor says what is possible with an adopted PostgreSQL",
            )

    def require_backups(self, what: str, *, changes: bool = False) -> None:
        """Refuse a command that needs repositories; see that the backup engine's configuration is there.

        It is written anew for a command that `changes` something, as by `up` and the keeper; one that only
        reads may run at any time beside those, and takes the file as it is.
        """
        if not self.takes_backups:
            raise UsageProblem(
                f"{what}: no backups are taken from this home",
                detail="database.data_directory does not name the data directory of the adopted PostgreSQL",
                hint="set it where the files are on this host (docs/how-to/adopt.md)",
            )
        if changes or not self.home.pgbackrest_config.exists():
            self.pgbackrest.write_config()

    @cached_property
    def engine(self) -> "Engine":
        """PostgreSQL's and pgBackRest's programs."""
        from wedsync.cluster import find_engine

        return find_engine(self.home)

    @cached_property
    def secrets(self) -> "Secrets":
        """The secrets of the home."""
        from wedsync.cluster import Secrets

        return Secrets(self.home)

    @cached_property
    def state(self) -> "StateStore":
        """The state file, open."""
        from wedsync.state import open_state

        return open_state(self.home.state_db)

    @cached_property
    def server(self) -> "Server":
        """The PostgreSQL of the home (profile `local`)."""
        from wedsync.cluster import Server

        return Server(engine=self.engine, home=self.home, config=self.config)

    @cached_property
    def pgbackrest(self) -> "PgBackRest":
        """The backup engine."""
        from wedsync.backup import PgBackRest

        return PgBackRest(engine=self.engine, home=self.home, config=self.config, cluster=self._adopted_cluster())

    @property
    def takes_backups(self) -> bool:
        """Whether the cluster's files can be backed up from here."""
        return self.is_local or self.config.database.data_directory is not None

    def _adopted_cluster(self) -> "ClusterAccess | None":
        """How pgBackRest reaches a cluster that is not ours; `None`: the one of the home."""
        from wedsync.backup import ClusterAccess

        if self.is_local or self.config.database.data_directory is None:
            return None
        target = self.owner_target
        return ClusterAccess(
            pgdata=Path(self.config.database.data_directory),
            sockets=Path(target.host if target.is_local_socket else _DEBIAN_SOCKETS),
            port=target.port,
            user=target.user,
            database=target.dbname,
        )

    @cached_property
    def surveyor(self) -> "Surveyor":
        """Says what can be restored."""
        from wedsync.backup import Surveyor

        return Surveyor(pgbackrest=self.pgbackrest, state=self.state, clock=self.clock)

    @cached_property
    def backup_runs(self) -> "BackupRuns":
        """Takes and removes backups."""
        from wedsync.backup import BackupRuns

        return BackupRuns(pgbackrest=self.pgbackrest, state=self.state, clock=self.clock)

    @cached_property
    def backup_records(self) -> "BackupRecords":
        """What the state file knows of backups and runs."""
        from wedsync.backup import BackupRecords

        return BackupRecords(self.state)

    @cached_property
    def verifier(self) -> "Verifier":
        """Reads repositories whole."""
        return self.verification.verifier

    @cached_property
    def verification(self) -> "VerificationParts":
        """What verifies the repositories."""
        from wedsync.backup import VerificationParts
        from wedsync.recovery import copies_here

        return VerificationParts(
            pgbackrest=self.pgbackrest,
            surveyor=self.surveyor,
            state=self.state,
            clock=self.clock,
            find_copies=lambda system_id: copies_here(self.server, system_id),
        )

    @cached_property
    def recoverer(self) -> "Recoverer":
        """Takes the database back."""
        from wedsync.backup import BackupKind, RunReason
        from wedsync.recovery import Recoverer

        return Recoverer(
            surveyor=self.surveyor,
            server=self.server,
            pgbackrest=self.pgbackrest,
            state=self.state,
            clock=self.clock,
            settle=self.settle_after_recovery,
            safety_backup=lambda repo: self.backup_runs.take(BackupKind.INCR, repo=repo, reason=RunReason.SAFETY),
            examine=self.verification.examine,
        )

    @cached_property
    def copies(self) -> "Copies":
        """Makes copies of the cluster at moments of the past."""
        from wedsync.copies import Copies

        return Copies(
            surveyor=self.surveyor,
            server=self.server,
            pgbackrest=self.pgbackrest,
            state=self.state,
            config=self.config,
            clock=self.clock,
            examine=self.verification.examine,
        )

    def preview_service(self) -> "PreviewService":
        """The keeper's care of previews."""
        from wedsync.copies import PreviewService

        return PreviewService(copies=self.copies, clock=self.clock, keep_for=self.config.preview.keep_for)

    def shelter(self) -> "Shelter":
        """Keeps WAL that is not archived from going with the data directory."""
        from wedsync.recovery import Shelter

        return Shelter(server=self.server, clock=self.clock)

    def receiver(self, *, may_run: "Callable[[], str | None]") -> "Receiver":
        """Receives the WAL of the home's own server into the directory of the configuration."""
        from wedsync.cluster import RECEIVER_ROLE
        from wedsync.zero_loss import Receiver

        settings = self.config.backup.zero_loss
        return Receiver(
            engine=self.engine,
            target=self.server.target(RECEIVER_ROLE),
            directory=self.home.resolve(settings.directory),
            clock=self.clock,
            keep=settings.keep,
            may_run=may_run,
        )

    def zero_loss_service(self) -> "ZeroLossService":
        """The keeper's measurement of what would be lost, and its watch over the receiver."""
        from wedsync.zero_loss import ZeroLossService

        async def wait_for(receiver: str) -> None:
            await self.server.wait_for(receiver)

        return ZeroLossService(
            monitor=self.monitor_target,
            state=self.state,
            clock=self.clock,
            config=self.config.backup.zero_loss,
            waits_for=lambda: self.server.waits_for,
            wait_for=wait_for,
        )

    def backup_service(self) -> "BackupService":
        """The keeper's schedule of backups."""
        from wedsync.backup import BackupService

        return BackupService(
            runs=self.backup_runs,
            pgbackrest=self.pgbackrest,
            monitor=self.monitor_target,
            clock=self.clock,
        )

    def region_watch(self) -> "RegionWatch":
        """The keeper's look at the regions."""
        from wedsync.backup import RegionWatch

        return RegionWatch(
            pgbackrest=self.pgbackrest,
            state=self.state,
            monitor=self.monitor_target,
            clock=self.clock,
            reload=self.server.reload,
        )

    def heartbeat_service(self) -> "HeartbeatService":
        """The keeper's heartbeat."""
        from wedsync.backup import HeartbeatService

        return HeartbeatService(
            owner=self.owner_target,
            state=self.state,
            clock=self.clock,
            every=self.config.backup.heartbeat_every,
            keep=self.config.backup.recovery_window,
        )

    @cached_property
    def drill_records(self) -> "DrillRecords":
        """What the state file knows of drills."""
        from wedsync.drills import DrillRecords

        return DrillRecords(self.state)

    @cached_property
    def driller(self) -> "Driller":
        """Restores backups elsewhere, to prove them."""
        from wedsync.drills import Driller

        return Driller(
            verify=self.verifier.verify,
            copies=self.copies,
            surveyor=self.surveyor,
            engine=self.engine,
            home=self.home,
            config=self.config,
            state=self.state,
            clock=self.clock,
            migration_key=self.migration_key,
        )

    def witness_taker(self, *, wait: timedelta = timedelta(seconds=30)) -> "WitnessTaker":
        """Records what the database holds at exact places of its WAL; `wait` is for transactions that write."""
        from wedsync.drills.witness import Effort, WitnessTaker

        name = self.config.database.name
        target = self.server.target("postgres", name) if self.is_local else self.owner_target
        return WitnessTaker(
            target, state=self.state, effort=Effort(budget=self.config.drills.witness_budget, wait=wait)
        )

    def witness_service(self) -> "WitnessService":
        """The keeper's witnesses."""
        from wedsync.drills.witness import WitnessService
        from wedsync.process import FileLock

        locks = [FileLock(self.home.run / f"{name}.lock", purpose="look") for name in ("backup", "recovery")]
        return WitnessService(
            taker=self.witness_taker(),
            state=self.state,
            clock=self.clock,
            every=self.config.drills.witness_every,
            keep=self.config.backup.recovery_window,
            last_backup=lambda: max((item.finished_at for item in self.backup_records.backups()), default=None),
            must_wait=lambda: any(lock.holder() is not None for lock in locks),
        )

    def drill_service(self) -> "DrillService":
        """The keeper's drills."""
        from wedsync.app.drills import is_busy_day, next_backup_at
        from wedsync.drills import DrillService

        return DrillService(
            driller=self.driller,
            backups=self.backup_records,
            config=self.config,
            clock=self.clock,
            busy_day=lambda: is_busy_day(self),
            next_backup_at=lambda: next_backup_at(self),
        )

    def job_service(self, *, migrate: "RunMigration") -> "JobService":
        """The keeper's worker for what functions of the database queue."""
        from wedsync.maintenance import JobService

        return JobService(owner=self.owner_target, clock=self.clock, migrate=migrate)

    def routine_service(self) -> "RoutineService":
        """The keeper's calls of what the schema wants called."""
        from wedsync.maintenance import RoutineService

        return RoutineService(owner=self.owner_target, clock=self.clock)

    def backup_mirror(self) -> "BackupMirror":
        """Tells the database what the state file knows of its backups."""
        from wedsync.app.proofs import logged_drills
        from wedsync.backup import BackupMirror

        return BackupMirror(
            records=self.backup_records,
            owner=self.owner_target,
            clock=self.clock,
            drills=lambda: logged_drills(self),
        )

    @property
    def owner_target(self) -> ConnectionTarget:
        """The database, as the role that owns the schema."""
        return self._target("wedsync_owner")

    @property
    def monitor_target(self) -> ConnectionTarget:
        """The database, as the role that looks on."""
        return self._target("wedsync_monitor")

    @property
    def gateway_target(self) -> ConnectionTarget:
        """The database, as the role that may only become those of callers."""
        dsn = self.config.gateway.dsn
        if not self.is_local and dsn is not None:
            return ConnectionTarget.from_dsn(dsn, any_host=True)
        target = self._target("wedsync_gateway")
        # Over the socket too it signs in with its password: whoever runs as this user is not yet the gateway.
        return replace(target, password=self.secrets.read("wedsync_gateway")) if self.is_local else target

    def _target(self, role: str) -> ConnectionTarget:
        if self.is_local:
            return self.server.target(role, self.config.database.name)
        assert self.config.database.dsn is not None  # noqa: S101 - the configuration was checked for it
        return ConnectionTarget.from_dsn(self.config.database.dsn)

    def public_target(self) -> ConnectionTarget:
        """The database over TCP, as its owner, password included: what `keys` prints."""
        if not self.is_local:
            return self.owner_target
        return self.server.tcp_target("wedsync_owner", self.secrets.read("wedsync_owner"))

    def shadow_maker(self) -> "ShadowMaker":
        """How a copy of this home's schema is made beside it: as superuser where the server is ours."""
        from wedsync.cluster import prepare_database
        from wedsync.migrations import ShadowMaker

        admin = self.server.target("postgres", self.config.database.name) if self.is_local else self.owner_target
        return ShadowMaker(
            admin=admin,
            pg_dump=self.engine.program("pg_dump"),
            psql=self.engine.program("psql"),
            environment=self.engine.environment,
            prepare=prepare_database if self.is_local else None,
        )

    def migration_key(self) -> bytes:
        """The key of the migrations' ledger: made at first use, and not in the database."""
        return self.secrets.get_or_create("migration_chain_key").encode()

    def migration_conditions(
        self,
        *,
        by: str | None = None,
        override: str | None = None,
        restore_point: bool = True,
        say: Callable[[str], None] = lambda _: None,
    ) -> "Conditions":
        """Under which conditions the schema of this home is changed, by the operator unless `by` names another.

        Without `restore_point` none is made; with it a home that takes backups changes nothing without one.
        """
        from wedsync.migrations import Conditions, Patience, RestorePointRule

        chosen = self.config.migrations
        rule = RestorePointRule.REQUIRED if self.takes_backups else RestorePointRule.IF_ALLOWED
        return Conditions(
            by=by or self.operator,
            key=self.migration_key(),
            freeze=self.calendar,
            override=override,
            restore_point=rule if restore_point else RestorePointRule.NONE,
            patience=Patience(
                lock_timeout=chosen.lock_timeout,
                tries=chosen.lock_tries,
                concurrent_wait=chosen.concurrent_wait,
            ),
            wait=chosen.wait,
            say=say,
            witness=self._witness_of_migrations(say),
        )

    def _witness_of_migrations(self, say: Callable[[str], None]) -> "Callable[[], Awaitable[None]] | None":
        """Records what the database holds around a change of its schema, where drills will compare with it."""
        from wedsync.drills.witness import witness_if_possible

        if not (self.is_local and self.takes_backups and self.config.drills.enabled):
            return None

        async def take() -> None:
            if self.backup_records.backups():  # before the first one there is nothing that leads here
                await witness_if_possible(self.witness_taker(wait=_MIGRATION_WAITS), "migration", say=say)

        return take

    @cached_property
    def calendar(self) -> "WeddingCalendar | None":
        """The days on which nothing disruptive is done; `None` where no day is special."""
        from wedsync.tenants import WeddingCalendar

        if not self.config.calendar.enabled:
            return None
        return WeddingCalendar(self.owner_target, clock=self.clock, time_zone=self.config.calendar.time_zone)

    @property
    def eraser(self) -> "Eraser":
        """Erases tenants and people, and does so again after a recovery."""
        from wedsync.tenants import Eraser

        backup = self.config.backup
        keep = max(backup.recovery_window, backup.keep_weekly) + max(backup.repo1.full_every, timedelta(days=1))
        return Eraser(
            self.owner_target,
            state=self.state,
            clock=self.clock,
            proofs=self.home.erasures,
            backups_keep=keep if self.takes_backups else None,
        )

    async def settle_after_recovery(self) -> None:
        """Put roles and rights right, and erase again what came back with the older state."""
        await self.settle_roles()
        await self.eraser.repeat()

    async def settle_roles(self) -> None:
        """Make or mend roles, database and rights; needs the server running."""
        from wedsync.cluster import RECEIVER_ROLE, ensure_roles

        roles = (*PASSWORD_ROLES, RECEIVER_ROLE) if self.server.has_receiver else PASSWORD_ROLES
        passwords = {role: self.secrets.get_or_create(role) for role in roles}
        await ensure_roles(self.server.target(), config=self.config, passwords=passwords)


def this_environment() -> Mapping[str, str]:
    """The environment of this process: read here and nowhere else."""
    return os.environ
