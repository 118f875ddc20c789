"""Is every backup whole, and the WAL between them, in each region? Read all the time, repaired where possible."""

from wedsync.backup.verification.chain import LiveTail, judge_wal
from wedsync.backup.verification.elsewhere import LocalCopy
from wedsync.backup.verification.examination import DamagedSegment, Examine
from wedsync.backup.verification.ledger import Ended, Finding, Ledger
from wedsync.backup.verification.mending import Repaired, shown_repair
from wedsync.backup.verification.parts import VerificationParts
from wedsync.backup.verification.service import RoundDone, VerificationService
from wedsync.backup.verification.turns import Coverage
from wedsync.backup.verification.whole import Verifier, judge_report

__all__ = [
    "Coverage",
    "DamagedSegment",
    "Ended",
    "Examine",
    "Finding",
    "Ledger",
    "LiveTail",
    "LocalCopy",
    "Repaired",
    "RoundDone",
    "VerificationParts",
    "VerificationService",
    "Verifier",
    "judge_report",
    "judge_wal",
    "shown_repair",
]
