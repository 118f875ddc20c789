"""The demo season, and what knows of weddings: WS6xx."""

from wedsync.errors.base import WedsyncError


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
