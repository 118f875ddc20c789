"""WAL received as it comes about, in another place: commits that wait for it, and what would be lost without."""

from wedsync.zero_loss.directory import ReceivedSegment, histories, received_segments
from wedsync.zero_loss.exposure import Protection
from wedsync.zero_loss.receiver import RECEIVER, Receiver, require_directory
from wedsync.zero_loss.records import Measured
from wedsync.zero_loss.service import ZeroLossService

__all__ = [
    "RECEIVER",
    "Measured",
    "Protection",
    "ReceivedSegment",
    "Receiver",
    "ZeroLossService",
    "histories",
    "received_segments",
    "require_directory",
]
