"""Who calls: what the token or key of a request says, checked."""

from wedsync.api.callers.caller import Caller
from wedsync.api.callers.home_keys import ADMINISTRATOR, Callers
from wedsync.api.callers.signing import Algorithm, SigningKey, SigningKeys, new_private_key

__all__ = [
    "ADMINISTRATOR",
    "Algorithm",
    "Caller",
    "Callers",
    "SigningKey",
    "SigningKeys",
    "new_private_key",
]
