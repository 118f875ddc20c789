"""How a home is: gather the facts, judge them, say what is wrong and what to do next."""

from wedsync.monitoring.ask import ask_health, ask_metrics
from wedsync.monitoring.backup_rules import continuous_window, last_good_backup
from wedsync.monitoring.collect import Sources, collect
from wedsync.monitoring.exposure import read_exposure
from wedsync.monitoring.exposure_rules import exposure_words
from wedsync.monitoring.facts import (
    Archiver,
    BackupRun,
    Database,
    Disk,
    Exposure,
    Facts,
    Jobs,
    KeptBackup,
    Outlook,
    Part,
    ProcessEvent,
    ProofFacts,
    Proven,
    Records,
    Recovery,
    RecoveryWindow,
    Repository,
    SurveyFacts,
    WalGap,
)
from wedsync.monitoring.if_it_broke import Rpo, Rto, if_it_broke_words, rpo_of, rto_of
from wedsync.monitoring.issues import Issue, State
from wedsync.monitoring.metrics import (
    Connections,
    DatabaseHealth,
    DatabaseMetrics,
    Performance,
    Ping,
    Storage,
    TableSize,
    judge_metrics,
)
from wedsync.monitoring.status import StatusView, Verdict, issue_words, judge
from wedsync.monitoring.survey import LatestSurvey

__all__ = [
    "Archiver",
    "BackupRun",
    "Connections",
    "Database",
    "DatabaseHealth",
    "DatabaseMetrics",
    "Disk",
    "Exposure",
    "Facts",
    "Issue",
    "Jobs",
    "KeptBackup",
    "LatestSurvey",
    "Outlook",
    "Part",
    "Performance",
    "Ping",
    "ProcessEvent",
    "ProofFacts",
    "Proven",
    "Records",
    "Recovery",
    "RecoveryWindow",
    "Repository",
    "Rpo",
    "Rto",
    "Sources",
    "State",
    "StatusView",
    "Storage",
    "SurveyFacts",
    "TableSize",
    "Verdict",
    "WalGap",
    "ask_health",
    "ask_metrics",
    "collect",
    "continuous_window",
    "exposure_words",
    "if_it_broke_words",
    "issue_words",
    "judge",
    "judge_metrics",
    "last_good_backup",
    "read_exposure",
    "rpo_of",
    "rto_of",
]
