"""Who calls: what the token or key of a request says, checked."""

from wedsync.api.callers.caller import Caller
from wedsync.api.callers.home_keys import ADMINISTRATOR, Callers

__all__ = ["ADMINISTRATOR", "Caller", "Callers"]
