"""How much and how often: what is refused before it costs anything."""

from wedsync.api.limits.calls import CallLimit, CallLimits
from wedsync.api.limits.rates import ConcurrencyLimit, RateLimit, Refusal

__all__ = ["CallLimit", "CallLimits", "ConcurrencyLimit", "RateLimit", "Refusal"]
