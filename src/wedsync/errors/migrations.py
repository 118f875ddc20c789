"""Changes of the schema: WS5xx."""

from typing import ClassVar

from wedsync.errors.base import WedsyncError
from wedsync.errors.setup import Busy


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
