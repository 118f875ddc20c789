"""How much and how often: what is refused before it costs anything."""

from wedsync.api.limits.calls import CallLimit, CallLimits

__all__ = ["CallLimit", "CallLimits"]
