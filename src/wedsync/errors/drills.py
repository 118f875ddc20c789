"""Drills, and the witnesses they compare with: WS45x, WS46x."""

from wedsync.errors.base import WedsyncError


class DrillMadeWay(WedsyncError):
    """A drill was broken off and cleared away: a recovery began, or its backup was removed meanwhile."""

    code = "WS451"


class WitnessRefused(WedsyncError):
    """No witness can be taken here: the server or the role gives no exact place in the WAL."""

    code = "WS460"


class WitnessHeldUp(WedsyncError):
    """No witness was taken now: transactions that write were open for too long."""

    code = "WS461"
