"""Backups with pgBackRest: when, what is kept, what can be restored, whether it is whole."""

from wedsync.backup.commits import Commit, CommitReader, dump_commits, read_commits
from wedsync.backup.configuration import ClusterAccess, key_name, render_config, repositories
from wedsync.backup.heartbeat import HeartbeatService, is_beat_due
from wedsync.backup.mirror import BackupMirror
from wedsync.backup.model import (
    Archive,
    Backup,
    BackupKind,
    BackupRun,
    Catalogue,
    LiveCluster,
    Problem,
    RepositoryStatus,
    RunOutcome,
    RunReason,
    SegmentCommits,
    Timeline,
    Verification,
)
from wedsync.backup.pgbackrest import PgBackRest, Restored, RestoreTarget, TargetAction, TargetKind
from wedsync.backup.records import BackupRecords, VerificationRecord
from wedsync.backup.retention import Removal, Retention, RetentionPolicy, retention
from wedsync.backup.runs import BackupRuns
from wedsync.backup.schedule import Due, next_due, retry_at
from wedsync.backup.service import BackupService, read_live_cluster
from wedsync.backup.survey import Survey, Surveyor
from wedsync.backup.timelines import Leg, TimelineBook, leads_to, lineage, live_at, live_until
from wedsync.backup.timelines import read_history as read_timeline_history
from wedsync.backup.verification import Verifier
from wedsync.backup.wal import (
    WalSpan,
    contiguous_spans,
    find_gaps,
    is_segment_name,
    number_at,
    number_of,
    segment_name,
    timeline_of,
)
from wedsync.backup.windows import Gap, Moment, Window, Windows, recovery_windows

__all__ = [
    "Archive",
    "Backup",
    "BackupKind",
    "BackupMirror",
    "BackupRecords",
    "BackupRun",
    "BackupRuns",
    "BackupService",
    "Catalogue",
    "ClusterAccess",
    "Commit",
    "CommitReader",
    "Due",
    "Gap",
    "HeartbeatService",
    "Leg",
    "LiveCluster",
    "Moment",
    "PgBackRest",
    "Problem",
    "Removal",
    "RepositoryStatus",
    "RestoreTarget",
    "Restored",
    "Retention",
    "RetentionPolicy",
    "RunOutcome",
    "RunReason",
    "SegmentCommits",
    "Survey",
    "Surveyor",
    "TargetAction",
    "TargetKind",
    "Timeline",
    "TimelineBook",
    "Verification",
    "VerificationRecord",
    "Verifier",
    "WalSpan",
    "Window",
    "Windows",
    "contiguous_spans",
    "dump_commits",
    "find_gaps",
    "is_beat_due",
    "is_segment_name",
    "key_name",
    "leads_to",
    "lineage",
    "live_at",
    "live_until",
    "next_due",
    "number_at",
    "number_of",
    "read_commits",
    "read_live_cluster",
    "read_timeline_history",
    "recovery_windows",
    "render_config",
    "repositories",
    "retention",
    "retry_at",
    "segment_name",
    "timeline_of",
]
