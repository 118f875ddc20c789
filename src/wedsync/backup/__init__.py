"""Backups with pgBackRest: when, what is kept, what can be restored, whether it is whole."""

from wedsync.backup.commits import Commit, CommitReader, read_commits
from wedsync.backup.configuration import ClusterAccess, render_config
from wedsync.backup.model import (
    Archive,
    Backup,
    BackupKind,
    Catalogue,
    RepositoryStatus,
    RunReason,
    SegmentCommits,
    Timeline,
)
from wedsync.backup.pgbackrest import PgBackRest, Restored, RestoreTarget, TargetAction, TargetKind
from wedsync.backup.survey import Survey, Surveyor
from wedsync.backup.timelines import TimelineBook, lineage, live_at, live_until
from wedsync.backup.wal import (
    WalSpan,
    contiguous_spans,
    find_gaps,
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
    "Catalogue",
    "ClusterAccess",
    "Commit",
    "CommitReader",
    "Gap",
    "Moment",
    "PgBackRest",
    "RepositoryStatus",
    "RestoreTarget",
    "Restored",
    "RunReason",
    "SegmentCommits",
    "Survey",
    "Surveyor",
    "TargetAction",
    "TargetKind",
    "Timeline",
    "TimelineBook",
    "WalSpan",
    "Window",
    "Windows",
    "contiguous_spans",
    "find_gaps",
    "lineage",
    "live_at",
    "live_until",
    "number_at",
    "number_of",
    "read_commits",
    "recovery_windows",
    "render_config",
    "segment_name",
    "timeline_of",
]
