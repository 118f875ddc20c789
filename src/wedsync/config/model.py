"""Every setting, its type and its default. The names here are the names in the file."""

import re
from datetime import timedelta
from enum import StrEnum

from msgspec import Struct, field


class Profile(StrEnum):
    """Whose PostgreSQL it is."""

    LOCAL = "local"
    EXTERNAL = "external"
    CLUSTER = "cluster"


class Environment(StrEnum):
    """How much is at stake: sets connections, retention and the rhythm of backups."""

    PRODUCTION = "production"
    STAGING = "staging"
    DEVELOPMENT = "development"


class LocaleProvider(StrEnum):
    """Who decides how text sorts: ICU by language, or the C library by code point."""

    ICU = "icu"
    LIBC = "libc"


class Compression(StrEnum):
    """How backups and archived WAL are compressed (measured in docs/explanation/backup.md)."""

    ZSTD = "zst"
    LZ4 = "lz4"
    GZIP = "gz"
    NONE = "none"


class RepositoryKind(StrEnum):
    """Where a repository is: pgBackRest's `repo-type`, and `tls` for a pgBackRest server of another host."""

    PATH = "posix"
    S3 = "s3"
    AZURE = "azure"
    GCS = "gcs"
    SFTP = "sftp"
    TLS = "tls"


class SigningMethod(StrEnum):
    """How access tokens are signed (RFC 7518, section 3.1)."""

    HS256 = "HS256"
    ES256 = "ES256"
    RS256 = "RS256"


class MailSecurity(StrEnum):
    """How the connection to a mail server is protected."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class ReadsInRecovery(StrEnum):
    """From when on a server that is being taken back is read from."""

    CONSISTENT = "consistent"
    """As soon as its files are consistent; its state moves on towards the target meanwhile."""
    TARGET = "target"
    """When the target is reached: no earlier state is shown."""
    NEVER = "never"
    """When it takes writes again."""


class ClusterConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The PostgreSQL that the platform runs itself (profile `local`)."""

    port: int = 54329
    """TCP port of PostgreSQL, on `listen_addresses`."""
    listen_addresses: str = "127.0.0.1"
    """Addresses PostgreSQL listens on; TLS 1.3 only."""
    locale_provider: LocaleProvider = LocaleProvider.ICU
    """How text sorts: `icu` (with `locale`), or `libc` (then it is C). Fixed when the cluster is made."""
    locale: str = "und"
    """ICU locale of the cluster; `und` is the root collation, the same on every machine."""
    memory_share: float = 0.25
    """Part of the machine's memory (or of the control group's limit) given to shared buffers."""
    settings: dict[str, str] = {}
    """Further PostgreSQL settings, as in postgresql.conf; they win over ours."""


class PoolConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What applications may take of the database (docs/explanation/pipeline.md)."""

    min_size: int = 10
    """Connections the gateway always has; slow statements get further ones. Not more than `max_size`."""
    max_size: int = 100
    """Connections of applications at the most."""
    idle_timeout: timedelta = timedelta(seconds=30)
    """A connection beyond `min_size` that had no work for this long is ended."""
    connect_timeout: timedelta = timedelta(seconds=10)
    """A new connection comes about within this time, or is tried again."""
    acquire_timeout: timedelta = timedelta(seconds=60)
    """Work that needs a connection for itself waits this long for one."""
    slow_statement: timedelta = timedelta(seconds=1)
    """A statement that takes longer is logged, without its values."""
    prepared_statements: int = 100
    """Statements each connection keeps prepared; 0: none. Each costs the server memory, up to some 100 kB."""
    statement_timeout: timedelta = timedelta(seconds=30)
    """A statement of an application is cancelled after this time."""


class DatabaseConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which database is looked after."""

    name: str = "wedsync"
    """Database of the platform in profile `local`."""
    dsn: str | None = None
    """Profile `external`: DSN of the PostgreSQL to adopt; its password is better kept in a pgpass file."""
    data_directory: str | None = None
    """Profile `external`, on the database's own host: its data directory, for physical backups."""
    pool: PoolConfig = PoolConfig()


class StatementTimeouts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a statement of the data API may take, by the role that it runs as."""

    anon: timedelta = timedelta(seconds=3)
    """Whoever comes without a token."""
    authenticated: timedelta = timedelta(seconds=8)
    """Whoever signed in."""
    service_role: timedelta = timedelta(seconds=30)
    """Programs with the service key."""
    others: timedelta = timedelta(seconds=8)
    """Any other role that a token may name."""


_NAME = re.compile(r'"((?:[^"]|"")+)"|([^\s,]+)')


def _names(text: str) -> list[str]:
    """Names of SQL, as they are between double quotes or without."""
    return [quoted.replace('""', '"') or plain for quoted, plain in _NAME.findall(text)]


class GatewayConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The HTTP side."""

    host: str = "127.0.0.1"
    """Address the gateway listens on."""
    port: int = 8000
    """Port of the API and the console."""
    dsn: str | None = None
    """Profile `external`: as whom the data API connects, a role that may only become those of callers; none:
    `database.dsn`."""
    schemas: str = "public"
    """Schemas that the data API shows, separated by spaces or commas; the first is shown to whoever names none.
    A name with a space or a comma stands in double quotes."""
    search_path: str = "public"
    """Schemas whose functions and operators statements find besides, written as in `schemas`."""
    anon_role: str = "anon"
    """Role of calls without a token; empty: there are none."""
    role_claim: str = ".role"
    """Where in a token's claims the role is, as `.app_metadata.role` or `.roles[0]`."""
    audience: str = ""
    """Who a token must be for, if it says so (`aud`); empty: anybody."""
    max_rows: int | None = 1000
    """Rows of one answer at the most; none: as many as there are."""
    aggregates: bool = True
    """Whether `sum()`, `count()` and the like may be asked for; `statement_timeout` bounds what they cost."""
    rollback_allowed: bool = False
    """Whether a client may try a write without keeping it: `Prefer: tx=rollback`."""
    largest_body: int = 10_485_760
    """Bytes of a request's body at the most."""
    cors_origins: str = "*"
    """Origins whose pages may call the data API, separated by spaces; `*`: all, for tokens are in no cookie."""
    trusted_proxies: str = ""
    """Addresses or networks whose X-Forwarded-For is believed, separated by spaces."""
    hosts: str = ""
    """Further names the console is reached by, separated by spaces."""
    rate_per_second: float = 1000
    """Requests a second of one person, key, organization's keys or address; 0: as many as come. Not for the
    service key."""
    rate_burst: int = 2000
    """Requests that may come at once after a pause."""
    at_once: int = 200
    """Requests of one caller under way at the same time; 0: any number."""
    reads_in_recovery: ReadsInRecovery = ReadsInRecovery.CONSISTENT
    """While the database is taken back, reads are answered `consistent` (as soon as it can be read, each answer
    saying of when it is), `target` (when the target is reached), or `never` (when it takes writes again)."""
    slow_request: timedelta = timedelta(seconds=1)
    """A request that takes longer is written to the log."""
    statement_timeout: StatementTimeouts = StatementTimeouts()

    def shown_schemas(self) -> list[str]:
        """The names in `schemas`."""
        return _names(self.schemas)

    def searched_schemas(self) -> list[str]:
        """The names in `search_path`."""
        return _names(self.search_path)


class MailConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How letters are sent."""

    host: str | None = None
    """SMTP server. None: letters are not sent but written to `mail/` in the home, one file each."""
    port: int = 587
    """465 with `security = "tls"`."""
    security: MailSecurity = MailSecurity.STARTTLS
    """`starttls`, `tls` from the first byte, or `none` (a server on this machine only)."""
    user: str | None = None
    """Name to sign in with; its password is the secret `smtp_password` in the home's `secrets/`."""
    sender: str = "WedSync <no-reply@localhost>"
    """From whom letters are."""
    deadline: timedelta = timedelta(seconds=30)
    """A server that takes longer is tried again later."""


class AuthConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Signing in (`/auth/v1`)."""

    enabled: bool = True
    """`false`: no `/auth/v1`; tokens come from elsewhere."""
    api_url: str = ""
    """Address of the gateway as the outside sees it, for links in letters and the tokens' `iss`; empty: the
    gateway's own host and port."""
    site_url: str = ""
    """Address of the application: where a link leads that names no other; empty: `api_url`."""
    redirect_urls: str = ""
    """Further addresses a link may lead to, separated by spaces; `*` is any run of characters but `.` and `/`,
    `**` any at all."""
    sign_up: bool = True
    """Whether people may make an account for themselves; `false`: by invitation only."""
    anonymous: bool = False
    """Whether one may sign in without any address, to add one later."""
    confirm_email: bool = True
    """Whether an address counts only after its letter was answered; else a sign-up tells who has an account."""
    both_addresses: bool = True
    """Whether a change of address is to be confirmed from the present address too."""
    reauthenticate: bool = False
    """Whether a new password needs a code by e-mail when the sign-in is older than a day."""
    password_min_length: int = 8
    """Shortest password, in characters."""
    password_needs: str = ""
    """Kinds of characters that a password must have, separated by spaces: `lower`, `upper`, `digit`, `symbol`."""
    signing: SigningMethod = SigningMethod.HS256
    """How tokens are signed: `HS256` with the home's secret, `ES256` or `RS256` with a key pair in `secrets/`."""
    token_lasts: timedelta = timedelta(hours=1)
    """How long an access token holds."""
    session_lasts: timedelta | None = None
    """A session ends after this time, whatever is refreshed; `never`: not by itself."""
    session_idle: timedelta = timedelta(days=60)
    """A session that was not refreshed for so long is over."""
    refresh_again_within: timedelta = timedelta(seconds=30)
    """Whoever lost the answer to a refresh may ask again for so long and gets the same one; later it ends the
    session."""
    letter_lasts: timedelta = timedelta(hours=1)
    """How long the link and the code of a letter hold."""
    letter_every: timedelta = timedelta(seconds=60)
    """An address gets a letter of one kind at the most this often."""
    calls_per_minute: int = 30
    """Calls of one kind (sign-up, token, code, verify, recover) from one network address."""
    max_factors: int = 10
    """Second factors of a person."""
    mail: MailConfig = MailConfig()


class RepositoryConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One backup repository."""

    kind: RepositoryKind = RepositoryKind.PATH
    """`posix` (a path), `s3`, `azure`, `gcs`, `sftp`, or `tls` (a pgBackRest server on another host)."""
    path: str = ""
    """Directory of the repository, or prefix in the bucket; relative paths are below the home."""
    options: dict[str, str] = {}
    """pgBackRest options of this repository without the `repoN-` prefix, such as `s3-bucket`; a value
    `@name` is read from the file `secrets/name` in the home."""
    full_every: timedelta = timedelta(days=1)
    """A full backup is taken this often."""
    incr_every: timedelta | None = timedelta(hours=1)
    """None: no incremental backups to this repository."""


class VerificationConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the repositories are read again and again (docs/explanation/verification.md)."""

    enabled: bool = True
    """Whether the keeper reads the repositories by itself."""
    within: timedelta = timedelta(days=7)
    """Every file of every repository is read to its end, and compared, at least this often."""
    bytes_per_second: int = 20_000_000
    """Repositories are read no faster than this, all together."""
    nice: int = 15
    """Niceness of what reads, 0 to 19: whoever else wants the processor goes first."""
    repair: bool = True
    """Whether missing or damaged WAL, and pgBackRest's own files, are put back from where they are whole."""


class ZeroLossMode(StrEnum):
    """How WAL gets to a receiver besides the archive."""

    OFF = "off"
    ASYNC = "async"
    """As it is written: at most a second of commits is lost with the machine."""
    SYNC = "sync"
    """Before a commit is acknowledged: none is lost."""


class WhenDown(StrEnum):
    """What becomes of commits while the receiver is away, with mode `sync`."""

    WAIT = "wait"
    """They wait for it: nothing is lost, and nothing can be written."""
    DEGRADE = "degrade"
    """They are acknowledged without it, as with mode `async`."""


class ZeroLossConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receiver that writes WAL down as it comes about, in another place than the archive."""

    mode: ZeroLossMode = ZeroLossMode.OFF
    """`off`, `async` (at most a second is lost with the machine) or `sync` (nothing that was acknowledged)."""
    directory: str = "received"
    """Where the receiver writes: a directory of the second region, mounted; a relative one is below the home, and
    protects against the loss of the data directory only."""
    here: bool = True
    """Whether the receiver runs on this machine; `false`: another host runs `wedsync receive-wal`."""
    when_down: WhenDown = WhenDown.DEGRADE
    """With mode `sync`, while the receiver is away: `degrade` (acknowledge without it) or `wait` (for it)."""
    degrade_after: timedelta = timedelta(seconds=10)
    """With `degrade`: commits wait this long for a receiver that is away or does not move."""
    keep: timedelta = timedelta(hours=1)
    """A received segment stays this long after it is in the archive."""


class BackupServerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lets a pgBackRest host take its backups of this cluster: a server over TLS, for one certificate's holder."""

    address: str = "0.0.0.0"  # noqa: S104 - it is for another host
    """Where it listens."""
    port: int = 8432
    ca_file: str = "tls/region.crt"
    """The authority whose certificates are believed; relative paths are below the home."""
    cert_file: str = "tls/backup-server.crt"
    key_file: str = "tls/backup-server.key"
    client: str = "backup-host"
    """Common name of the host's certificate: nobody else is served."""


class BackupConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Recovery points, how long they are kept and where."""

    enabled: bool = True
    """Whether backups are taken by schedule; WAL is archived always."""
    stanza: str = "wedsync"
    """pgBackRest's name of the cluster in the repositories."""
    recovery_window: timedelta = timedelta(days=30)
    """Every second of this long ago can be restored: backups and the whole WAL are kept for it."""
    keep_incr: timedelta = timedelta(days=2)
    """Incremental and differential backups older than this go (the WAL still covers the window)."""
    keep_weekly: timedelta = timedelta(weeks=52)
    """The first full backup of each week is kept this long, without WAL: it restores to its own end only."""
    retry_after: timedelta = timedelta(minutes=1)
    """Pause after a first failed run; doubles with each further failure, up to an hour."""
    archive_timeout: timedelta = timedelta(seconds=60)
    """A WAL segment is archived at the latest after this long: the loss if the machine vanishes."""
    heartbeat_every: timedelta = timedelta(seconds=10)
    """An idle database gets a small commit this often, so that its recovery window moves forward."""
    compression: Compression = Compression.ZSTD
    """`zst`, `lz4`, `gz` or `none`."""
    compression_level: int = 3
    """Level of `compression`; more takes longer and less space."""
    processes: int = 0
    """Parallel processes of a backup or restore; 0: one per processor."""
    deadline: timedelta = timedelta(hours=12)
    """A run that takes longer is stopped and counted as failed."""
    verification: VerificationConfig = VerificationConfig()
    give_up_after: timedelta | None = timedelta(minutes=1)
    """When repo2 has been out of reach for so long, archiving goes on without it until it is back and was filled
    up from repo1; `never`: WAL waits for it."""
    give_up_below_mb: int = 2000
    """The same when the WAL's disk has less room and repo2 is what WAL waits for; 0: whatever room there is."""
    serve: BackupServerConfig | None = None
    """For a repository of kind `tls`, whose host takes the backups there itself."""
    repo1: RepositoryConfig = RepositoryConfig(path="repo1")
    repo2: RepositoryConfig | None = RepositoryConfig(path="repo2", incr_every=timedelta(hours=6))
    zero_loss: ZeroLossConfig = ZeroLossConfig()


class DrillsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Restores that are tried, day by day (docs/explanation/drills.md)."""

    enabled: bool = True
    """Whether the keeper runs drills; only where it takes backups too (`backup.enabled`)."""
    quiet_from: str = "01:00"
    """Drills by schedule begin from here on, by the clocks of `calendar.time_zone`."""
    quiet_to: str = "05:00"
    """No drill by schedule begins from here on; one that was begun goes on."""
    per_day: int = 0
    """Drills of a night; 0: one for each full backup of a day, and one more."""
    first_after: timedelta = timedelta(minutes=10)
    """The first drill of a home begins so long after its first backup, whatever the time of day."""
    processes: int = 2
    """Parallel processes of a drill's restore at the most; on a wedding day it has one."""
    keep_free: int = 1_000_000_000
    """Bytes that must remain on the disk beside the copy; else the drill is not begun."""
    rto_target: timedelta = timedelta(minutes=15)
    """A restored copy takes writes within this time."""
    rpo_target: timedelta = timedelta(seconds=60)
    """So much before the moment asked for, and no more, may be missing."""
    proof_limit: timedelta = timedelta(days=2)
    """The newest proven backup was proven within this time, or `wedsync status` warns."""
    proof_critical: timedelta = timedelta(days=7)
    """Proof that is older than this is critical."""
    keep_evidence: timedelta = timedelta(weeks=52)
    """Evidence is kept this long."""
    witness_every: timedelta = timedelta(hours=1)
    """So often, and after each backup, it is recorded what the database holds, for drills to compare with."""
    witness_budget: timedelta = timedelta(seconds=20)
    """Reading for that takes about this long; of tables that are too large another part each time."""


class PreviewConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Copies of the database at a moment of the past, to look at (`recover preview`)."""

    keep_for: timedelta = timedelta(minutes=30)
    """A preview that nobody is connected to is removed after so long."""
    most: int = 2
    """Previews at the same time."""
    memory: int = 67_108_864
    """Bytes of shared buffers of each."""
    processes: int = 0
    """Parallel processes of the restore; 0: one per processor."""
    nice: int = 5
    """0 to 19: the more, the less of the processor a preview gets beside the database."""
    keep_free: int = 1_000_000_000
    """Bytes that must remain on the disk beside it; else it is not made."""


class CalendarConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The days on which nothing disruptive is done: Saturdays, and a wedding's day and the day before."""

    enabled: bool = True
    """`false` for a database that is not WedSync's: no day is special then."""
    time_zone: str = "Europe/London"
    """Where it is Saturday; a wedding's day goes by the wedding's own time zone."""


class MigrationsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How changes of the schema behave towards others."""

    lock_timeout: timedelta = timedelta(milliseconds=100)
    """A statement waits this long for a table, and readers behind it; then it steps aside. 50 to 200 ms."""
    lock_tries: int = 30
    """So often a blocked file is tried, with growing pauses, before it fails and names who is in the way."""
    concurrent_wait: timedelta = timedelta(minutes=30)
    """CREATE INDEX CONCURRENTLY and its like, behind which nobody waits, wait this long for old transactions."""
    wait: timedelta = timedelta(minutes=5)
    """For another runner that is at work."""


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration."""

    profile: Profile = Profile.LOCAL
    """`local`: a cluster of our own below the home; `external`: the PostgreSQL that `database.dsn` names."""
    environment: Environment = Environment.PRODUCTION
    """`production`, `staging` or `development`: sets connections, retention and the rhythm of backups."""
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    database: DatabaseConfig = field(default_factory=DatabaseConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    auth: AuthConfig = field(default_factory=AuthConfig)
    backup: BackupConfig = field(default_factory=BackupConfig)
    drills: DrillsConfig = field(default_factory=DrillsConfig)
    preview: PreviewConfig = field(default_factory=PreviewConfig)
    calendar: CalendarConfig = field(default_factory=CalendarConfig)
    migrations: MigrationsConfig = field(default_factory=MigrationsConfig)


PRESETS: dict[Environment, dict[str, object]] = {
    Environment.PRODUCTION: {},
    Environment.STAGING: {
        "database.pool.min_size": 2,
        "database.pool.max_size": 20,
        "backup.recovery_window": timedelta(days=3),
        "backup.keep_weekly": timedelta(0),
        "backup.enabled": False,
    },
    Environment.DEVELOPMENT: {
        "database.pool.min_size": 2,
        "database.pool.max_size": 10,
        "backup.recovery_window": timedelta(days=1),
        "backup.keep_weekly": timedelta(0),
    },
}
"""What an environment changes of the defaults (design.md, decision 7; spec.md, section 1)."""
