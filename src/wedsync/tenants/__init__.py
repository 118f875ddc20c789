"""What knows of the tenants: weddings and the businesses that work for them."""

from typing import TYPE_CHECKING

from wedsync.on_demand import names_on_demand

if TYPE_CHECKING:
    from wedsync.tenants.calendar import Wedding, WeddingCalendar, reasons_to_wait
    from wedsync.tenants.erase import Erased, Eraser, ErasurePlan
    from wedsync.tenants.export import Exported, export_tenant
    from wedsync.tenants.history import Change, changes, rows_as_of
    from wedsync.tenants.secrets import IntegrationSecrets
    from wedsync.tenants.subject import Subject, SubjectKind, parse_id
else:
    __getattr__ = names_on_demand(
        __name__,
        {
            "calendar": (
                "Wedding",
                "WeddingCalendar",
                "reasons_to_wait",
            ),
            "erase": (
                "Erased",
                "Eraser",
                "ErasurePlan",
            ),
            "export": (
                "Exported",
                "export_tenant",
            ),
            "history": (
                "Change",
                "changes",
                "rows_as_of",
            ),
            "secrets": ("IntegrationSecrets",),
            "subject": (
                "Subject",
                "SubjectKind",
                "parse_id",
            ),
        },
    )

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
