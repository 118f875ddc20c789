"""The way in: which application answers, behind limits, with the headers that every answer has."""

from wedsync.api.front.cors import CrossOrigin
from wedsync.api.front.dispatch import Front, Mount
from wedsync.api.front.forwarded import Forwarded
from wedsync.api.front.meter import Meter

__all__ = ["CrossOrigin", "Forwarded", "Front", "Meter", "Mount"]
