"""What knows of the tenants: weddings and the businesses that work for them."""

from wedsync.tenants.calendar import Wedding, WeddingCalendar, reasons_to_wait
from wedsync.tenants.erase import Erased, Eraser, ErasurePlan
from wedsync.tenants.export import Exported, export_tenant
from wedsync.tenants.history import Change, changes, rows_as_of
from wedsync.tenants.secrets import IntegrationSecrets
from wedsync.tenants.subject import Subject, SubjectKind, parse_id

__all__ = [
    "Change",
    "Erased",
    "Eraser",
    "ErasurePlan",
    "Exported",
    "IntegrationSecrets",
    "Subject",
    "SubjectKind",
    "Wedding",
    "WeddingCalendar",
    "changes",
    "export_tenant",
    "parse_id",
    "reasons_to_wait",
    "rows_as_of",
]
