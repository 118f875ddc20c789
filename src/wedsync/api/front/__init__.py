"""The way in: which application answers, behind limits, with the headers that every answer has."""

from wedsync.api.front.cors import CrossOrigin
from wedsync.api.front.dispatch import Front, Mount
from wedsync.api.front.forwarded import Forwarded
from wedsync.api.front.meter import Meter
from wedsync.api.front.vitals import Closed, Vitals, reads_only_words

__all__ = ["Closed", "CrossOrigin", "Forwarded", "Front", "Meter", "Mount", "Vitals", "reads_only_words"]
