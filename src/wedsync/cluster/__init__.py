"""A cluster of ours: made, started, stopped, looked after."""

from wedsync.cluster.engine import Engine, find_engine

__all__ = ["Engine", "find_engine"]
