"""What can go wrong, each with a fixed code, what was seen and what to do next.

The codes are grouped by the folder that raises them: WS1xx configuration and set-up, WS2xx cluster and
database, WS3xx backup, WS4xx recovery, WS5xx migrations, WS6xx demo and tenants, WS8xx HTTP. Each code has its
own heading in `docs/reference/errors.md`, which is generated from these classes.
"""

from typing import ClassVar


class WedsyncError(Exception):
    """Base of every error that is ours: a message, what was seen, and the next step.

    `message` says what happened in one line; `detail` what was seen; `hint` what to do. None of them
    ever holds a password or a key.
    """

    code: ClassVar[str] = "WS000"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint

    def in_one_line(self) -> str:
        """What happened and what was seen, for a record or a table."""
        return f"{self.message}: {self.detail}" if self.detail else self.message

    def __str__(self) -> str:
        lines = [f"{self.message} [{self.code}]"]
        if self.detail:
            lines.append(f"  seen: {self.detail}")
        if self.hint:
            lines.append(f"  next: {self.hint}")
        return "\n".join(lines)


class UsageProblem(WedsyncError):
    """The words of a call are wrong; nothing was started."""

    code = "WS001"
    exit_code = 2


class ConfigProblem(WedsyncError):
    """A setting is unknown, malformed or contradicts another one."""

    code = "WS101"
    exit_code = 2


class HomeProblem(WedsyncError):
    """The platform's home cannot be used: not writable, not reachable, or somebody else's."""

    code = "WS102"


class EngineMissing(WedsyncError):
    """PostgreSQL or pgBackRest was not found, or is too old."""

    code = "WS103"


class PortTaken(WedsyncError):
    """Another program listens on a port that the platform wants."""

    code = "WS104"


class ProgramFailed(WedsyncError):
    """An outside program ended with an error."""

    code = "WS105"


class ProgramTimedOut(ProgramFailed):
    """An outside program did not end within its deadline and was stopped."""

    code = "WS106"


class StateProblem(WedsyncError):
    """The state file cannot be read or belongs to a newer version."""

    code = "WS107"


class Busy(WedsyncError):
    """Another process of ours holds the lock for this work."""

    code = "WS108"


class CannotConnect(WedsyncError):
    """No connection to the database came about: nothing listens there, or the network or TLS failed."""

    code = "WS201"


class ServerNotReady(CannotConnect):
    """The server is there, but starts, recovers or stops: asking again is worth it."""

    code = "WS202"


class SignInRefused(CannotConnect):
    """The server refuses the role: wrong password, or no rule in pg_hba.conf lets it in."""

    code = "WS203"


class DataDirectoryProblem(WedsyncError):
    """The data directory is missing, damaged, or has the wrong owner or mode."""

    code = "WS204"


class WrongVersion(DataDirectoryProblem):
    """The data directory was made by another major version of PostgreSQL."""

    code = "WS205"


class ServerFailed(WedsyncError):
    """PostgreSQL ended while it was starting; the last lines of its log are in what was seen."""

    code = "WS206"


class ServerTimedOut(ServerFailed):
    """PostgreSQL did not start or stop within its deadline."""

    code = "WS207"


class ForeignServer(WedsyncError):
    """The data directory is in use by a server that is not this user's to touch."""

    code = "WS208"


class DiskFull(WedsyncError):
    """No space is left where the database or its backups are."""

    code = "WS209"


class SecretProblem(WedsyncError):
    """A secret or a private key is missing, unreadable, or open to other users of the machine."""

    code = "WS210"


class RescueKitProblem(WedsyncError):
    """A rescue kit cannot be made, opened, or used here."""

    code = "WS212"


class StatementFailed(WedsyncError):
    """PostgreSQL refused a statement, or was lost while it ran."""

    code = "WS211"


class PipelineBroken(WedsyncError):
    """A connection of the pool ended while a statement was on it, and running it again did not help."""

    code = "WS250"


class Overloaded(WedsyncError):
    """More is asked than the database can do in good time; nothing of this request was run."""

    code = "WS251"

    def __init__(self, message: str, *, retry_after_s: int, detail: str | None = None) -> None:
        super().__init__(message, detail=detail, hint=f"come again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class CommitUnknown(WedsyncError):
    """The connection was lost after a write was sent and before the answer: it may be committed, or not."""

    code = "WS252"


class PoolTimeout(WedsyncError):
    """No connection of the pool became free in time."""

    code = "WS253"


class PoolClosed(WedsyncError):
    """The pool is closed, or was not opened yet."""

    code = "WS254"


class ResultTooLarge(WedsyncError):
    """A statement gave more than the gateway takes into its memory; the connection was given up."""

    code = "WS255"


class LeaseOverdue(WedsyncError):
    """A connection was lent for longer than agreed and was taken back; its transaction is undone."""

    code = "WS256"


class LoginRoleUnfit(WedsyncError):
    """The role that the gateway connects as cannot become the roles it serves, or is more than it may be."""

    code = "WS257"


class SchemaMissing(WedsyncError):
    """A schema that the data API is to show is not in the database."""

    code = "WS260"


class CatalogueNotLoaded(WedsyncError):
    """The data API does not know yet what the database holds: it could not be asked since the gateway started."""

    code = "WS261"


class BackupFailed(WedsyncError):
    """A backup ended with an error; the ones before it are untouched."""

    code = "WS301"


class RepositoryUnreachable(WedsyncError):
    """A repository cannot be read or written: not mounted, not reachable, or not allowed."""

    code = "WS302"


class RepositoryFull(WedsyncError):
    """There is no space left where a repository is."""

    code = "WS303"


class WrongKey(WedsyncError):
    """A repository was encrypted with another key than the one in the home."""

    code = "WS304"


class ForeignCluster(WedsyncError):
    """A repository belongs to another cluster than the one that is running."""

    code = "WS305"


class ArchivingStuck(WedsyncError):
    """WAL does not reach the archive."""

    code = "WS306"


class RestoreFailed(WedsyncError):
    """pgBackRest could not restore the files of a backup."""

    code = "WS307"


class BackupUnknown(WedsyncError):
    """No repository has a backup with this label."""

    code = "WS308"


class SegmentUnreadable(WedsyncError):
    """A WAL segment is not in the archive, or its content is damaged."""

    code = "WS309"


class BackupKept(WedsyncError):
    """A backup must not be removed: it is held, or others or the promised window need it."""

    code = "WS310"


class BeingTakenBack(ServerNotReady):
    """The server is in recovery: what writes has to wait for its end, what reads may be served."""

    code = "WS340"


class ReceiverFailed(WedsyncError):
    """The receiver of WAL cannot work: its directory, its slot, or its connection to the server."""

    code = "WS341"


class StoredFileMissing(WedsyncError):
    """A file that a repository should hold is not there."""

    code = "WS320"


class StoredFileUnreadable(WedsyncError):
    """A file of a repository is there, and its content cannot be made sense of."""

    code = "WS321"


class RepairImpossible(WedsyncError):
    """What is damaged or missing in a repository cannot be put back: no whole copy of it was found."""

    code = "WS322"


class CredentialsRefused(RepositoryUnreachable):
    """A store refused the credentials of a repository, or what they may do there."""

    code = "WS331"


class CertificateRefused(RepositoryUnreachable):
    """Whoever answered in a repository's place could not prove to be it."""

    code = "WS332"


class StoreMissing(RepositoryUnreachable):
    """The bucket or container of a repository does not exist."""

    code = "WS333"


class ClockWrong(RepositoryUnreachable):
    """A store refused a request because this machine's clock differs too much from its own."""

    code = "WS334"


class TakenElsewhere(WedsyncError):
    """A repository is on a pgBackRest host: backups are taken and removed there, not from this machine."""

    code = "WS335"


class UndeleteRefused(WedsyncError):
    """What was deleted in a repository's store cannot be brought back from here."""

    code = "WS336"


class TargetUnreachable(WedsyncError):
    """The moment asked for cannot be restored: before every backup, in a gap of the WAL, or not yet there."""

    code = "WS401"


class RecoveryRefused(WedsyncError):
    """A recovery's preflight found that it would fail; nothing was changed."""

    code = "WS402"


class RecoveryFailed(WedsyncError):
    """A recovery stopped half-way; running it again goes on, and the state before is kept."""

    code = "WS403"


class CopyRefused(WedsyncError):
    """A copy of the cluster is not made: there is no room for it, or there are enough already."""

    code = "WS421"


class CopyFailed(WedsyncError):
    """A copy of the cluster could not be made or moved; the cluster itself is untouched."""

    code = "WS422"


class CopyPassed(WedsyncError):
    """A copy is past the moment asked for, or on another timeline: a new copy is needed."""

    code = "WS423"


class CopyUnknown(WedsyncError):
    """There is no such copy (any more)."""

    code = "WS424"


class NothingToUndo(WedsyncError):
    """There is no recovery that could be undone."""

    code = "WS404"


class RowsRefused(WedsyncError):
    """Rows cannot be compared or brought back: no such table, no key, a changed type, something missing."""

    code = "WS430"


class RowConflicts(WedsyncError):
    """Rows were changed since by somebody else, or cannot come back: nothing was done; the choice is asked for."""

    code = "WS431"
    exit_code = 3


class RowsChangedSince(WedsyncError):
    """Rows changed between the plan and its execution: nothing was done."""

    code = "WS432"
    exit_code = 3


class RowsLocked(WedsyncError):
    """Somebody else held a row for longer than is waited: nothing was done."""

    code = "WS433"


class RowsNotExact(WedsyncError):
    """What was written would not have been exactly what was planned: it was taken back before the commit."""

    code = "WS434"


class ErasedForGood(WedsyncError):
    """Whoever the rows are about was erased since: they do not come back."""

    code = "WS435"


class RowRecoveryUnknown(WedsyncError):
    """There is no recovery of rows with this id, or it cannot be undone any more."""

    code = "WS436"


class DrillMadeWay(WedsyncError):
    """A drill was broken off and cleared away, because a backup or a recovery began."""

    code = "WS451"


class WitnessRefused(WedsyncError):
    """No witness can be taken here: the server or the role gives no exact place in the WAL."""

    code = "WS460"


class WitnessHeldUp(WedsyncError):
    """No witness was taken now: transactions that write were open for too long."""

    code = "WS461"


class RowsOutcomeUnknown(WedsyncError):
    """The connection was lost at the commit of rows that were brought back, and nobody can be asked."""

    code = "WS437"


class RowsInterrupted(WedsyncError):
    """The server ended the work before the commit: nothing was done."""

    code = "WS438"


class PreviewAway(WedsyncError):
    """A preview cannot be asked now: it is being made, it moves, or its server ended."""

    code = "WS440"


class PreviewReadOnly(WedsyncError):
    """A preview shows a moment of the past: what would change it is refused."""

    code = "WS441"


class LiveDatabaseAway(WedsyncError):
    """A moment of the past cannot be compared with now: the live database does not answer."""

    code = "WS442"


class MigrationsRefused(WedsyncError):
    """Files, or files and ledger, do not agree; nothing was run."""

    code = "WS501"


class MigrationFailed(WedsyncError):
    """A migration stopped with an error; of that file nothing was kept."""

    code = "WS502"


class MigrationsBusy(Busy):
    """Another runner holds the lock on migrations for longer than the caller waits."""

    code = "WS503"


class SqlUnreadable(WedsyncError):
    """PostgreSQL's parser cannot read a migration; the message names line and column."""

    code = "WS510"

    def __init__(self, problem: str, *, place: int, line: int, column: int, text: str) -> None:
        super().__init__(f"line {line}, column {column}: {problem}", detail=text, hint="mend this line")
        self.problem = problem
        self.place = place
        self.line = line
        self.column = column
        self.text = text


class MigrationBlocked(MigrationFailed):
    """Other sessions held a table for longer than a migration waits, time and again; nothing of it was kept."""

    code = "WS520"


class MigrationsFrozen(WedsyncError):
    """The schema does not change today: it is a Saturday, or a wedding is today or tomorrow."""

    code = "WS521"
    exit_code = 78


class StepUndecided(WedsyncError):
    """Whether a step outside a transaction ran to its end cannot be seen from the database."""

    code = "WS522"


class RestorePointRefused(WedsyncError):
    """The role may not make a restore point, and the run asked for one."""

    code = "WS523"


class ShadowRefused(WedsyncError):
    """A shadow database could not be made beside the one that a dry run is about; nothing was changed."""

    code = "WS530"


class BeyondShadow(MigrationsRefused):
    """A migration changes what belongs to the whole server: a shadow database cannot keep that to itself."""

    code = "WS531"
    HINT: ClassVar[str] = (
        "roles, databases and settings of the server belong to its set-up, not to a migration; "
        "try this file on a server of its own"
    )


class DataLossRefused(WedsyncError):
    """Undoing migrations would lose rows, and nobody has accepted that; nothing was run."""

    code = "WS532"
    exit_code = 3


class BaselineRefused(WedsyncError):
    """A database is not what the migrations make, and nobody has accepted that; nothing was recorded."""

    code = "WS533"
    exit_code = 3


class DemoRefused(WedsyncError):
    """The demo season cannot go into this database."""

    code = "WS601"


class CalendarUnreadable(WedsyncError):
    """Whether a wedding is near cannot be seen: the role does not see every wedding, or the table is another's."""

    code = "WS620"


class TenantUnknown(WedsyncError):
    """No couple, organization or user has this id."""

    code = "WS630"


class TablesUnplaced(WedsyncError):
    """Whose rows a table holds is not known: nothing is exported or erased as long as one could be forgotten."""

    code = "WS631"


class ErasureRefused(WedsyncError):
    """The tenant cannot be erased now: the wedding is near, or others depend on it."""

    code = "WS632"


class HistoryUnknown(WedsyncError):
    """The history does not reach back to this moment, or this table has none."""

    code = "WS633"


class ExportFailed(WedsyncError):
    """An export could not be written; nothing of it is left."""

    code = "WS634"


class LetterNotSent(WedsyncError):
    """An e-mail could not be handed to the mail server, or written to its file; it is tried again."""

    code = "WS820"


class SignInNotThere(WedsyncError):
    """The database has no tables to sign in with: the migrations that make them were not applied."""

    code = "WS821"


class NotSignedIn(WedsyncError):
    """A call over HTTP has no token, or one that does not hold."""

    code = "WS801"


class NotAdministrator(WedsyncError):
    """The token of a call over HTTP is not an administrator's."""

    code = "WS802"


class TooManyCalls(WedsyncError):
    """A sensitive call was made more often than is allowed."""

    code = "WS803"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, hint=f"come again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class TooLarge(WedsyncError):
    """The body of a call over HTTP is larger than anything it may hold."""

    code = "WS804"


class FiguresMissing(WedsyncError):
    """The database does not have what the platform's migrations make, or the role may not use it."""

    code = "WS840"


class NotThere(WedsyncError):
    """No job, run or backup has this id."""

    code = "WS841"


class KeyReused(WedsyncError):
    """An idempotency key came a second time with another request."""

    code = "WS842"


class OutcomeUnknown(WedsyncError):
    """A request with this idempotency key was begun, and nobody wrote down how it ended."""

    code = "WS843"


class NotConfirmed(WedsyncError):
    """What destroys is done only when the call repeats what it is about."""

    code = "WS844"


class GatewayRefused(WedsyncError):
    """The gateway cannot serve this database as it was asked to: a role, a schema or a right is missing."""

    code = "WS832"


class LoadTestRefused(WedsyncError):
    """A load test was not started: another one runs, nobody could ask, or it goes further than it may."""

    code = "WS850"


class LoadTestFailed(WedsyncError):
    """A load test could not be carried out; what it had written was removed."""

    code = "WS851"


class ConnectionLost(WedsyncError):
    """The connection ended before the transaction was committed: nothing of it was kept."""

    code = "WS855"


class TransactionUndone(WedsyncError):
    """A transaction was to be committed after one of its statements had failed: PostgreSQL undid it."""

    code = "WS856"
