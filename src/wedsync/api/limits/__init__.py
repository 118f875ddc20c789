"""How much and how often: what is refused before it costs anything."""

from wedsync.api.limits.calls import CallLimit, CallLimits
from wedsync.api.limits.networks import network_of
from wedsync.api.limits.once import LONGEST_KEY_BYTES, Done, OnceOnly, digest_of
from wedsync.api.limits.rates import ConcurrencyLimit, RateLimit, Refusal

__all__ = [
    "LONGEST_KEY_BYTES",
    "CallLimit",
    "CallLimits",
    "ConcurrencyLimit",
    "Done",
    "OnceOnly",
    "RateLimit",
    "Refusal",
    "digest_of",
    "network_of",
]
