"""How a home is: gather the facts, judge them, say what is wrong and what to do next."""

from wedsync.monitoring.backup_rules import continuous_window, last_good_backup
from wedsync.monitoring.collect import Sources, collect
from wedsync.monitoring.facts import (
    Archiver,
    BackupRun,
    Database,
    Disk,
    Facts,
    Jobs,
    KeptBackup,
    Part,
    ProcessEvent,
    Records,
    Recovery,
    RecoveryWindow,
    Repository,
    SurveyFacts,
    WalGap,
)
from wedsync.monitoring.issues import Issue, State
from wedsync.monitoring.status import StatusView, Verdict, issue_words, judge
from wedsync.monitoring.survey import LatestSurvey

__all__ = [
    "Archiver",
    "BackupRun",
    "Database",
    "Disk",
    "Facts",
    "Issue",
    "Jobs",
    "KeptBackup",
    "LatestSurvey",
    "Part",
    "ProcessEvent",
    "Records",
    "Recovery",
    "RecoveryWindow",
    "Repository",
    "Sources",
    "State",
    "StatusView",
    "SurveyFacts",
    "Verdict",
    "WalGap",
    "collect",
    "continuous_window",
    "issue_words",
    "judge",
    "last_good_backup",
]
