"""Who calls: what the token or key of a request says, checked."""

from wedsync.api.callers.address import address_of
from wedsync.api.callers.api_keys import ApiKeys
from wedsync.api.callers.caller import Caller
from wedsync.api.callers.keyset import KeyFile, KeySet
from wedsync.api.callers.problems import TokenProblem, TokenProblemKind
from wedsync.api.callers.signing import Algorithm, SigningKey, SigningKeys, new_private_key
from wedsync.api.callers.tokens import TokenRules, Tokens
from wedsync.api.callers.who import ADMINISTRATOR, Callers

__all__ = [
    "ADMINISTRATOR",
    "Algorithm",
    "ApiKeys",
    "Caller",
    "Callers",
    "KeyFile",
    "KeySet",
    "SigningKey",
    "SigningKeys",
    "TokenProblem",
    "TokenProblemKind",
    "TokenRules",
    "Tokens",
    "address_of",
    "new_private_key",
]
