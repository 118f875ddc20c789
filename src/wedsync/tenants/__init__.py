"""What knows of the tenants: weddings and the businesses that work for them."""

from typing import TYPE_CHECKING

from wedsync.on_demand import names_on_demand

if TYPE_CHECKING:
    from wedsync.tenants.bulk_changes import change_words, read_bulk_changes, read_loads
    from wedsync.tenants.calendar import Wedding, WeddingCalendar, reasons_to_wait
    from wedsync.tenants.couples import names_of_couples, tables_compared
    from wedsync.tenants.differences import (
        ComparedTable,
        CoupleDifference,
        CoupleInTable,
        Difference,
        by_couple,
        compared,
        difference_words,
        named,
    )
    from wedsync.tenants.erase import Erased, Eraser, ErasurePlan
    from wedsync.tenants.erasures import ErasureBook
    from wedsync.tenants.export import Exported, export_tenant
    from wedsync.tenants.history import Change, changes, rows_as_of
    from wedsync.tenants.past import OWNER_COLUMNS, AuditHistory, CoupleRows, read_couple_rows, scrub_erased
    from wedsync.tenants.secrets import IntegrationSecrets
    from wedsync.tenants.subject import Subject, SubjectKind, parse_id
else:
    __getattr__ = names_on_demand(
        __name__,
        {
            "bulk_changes": (
                "change_words",
                "read_bulk_changes",
                "read_loads",
            ),
            "calendar": (
                "Wedding",
                "WeddingCalendar",
                "reasons_to_wait",
            ),
            "couples": (
                "names_of_couples",
                "tables_compared",
            ),
            "differences": (
                "ComparedTable",
                "CoupleDifference",
                "CoupleInTable",
                "Difference",
                "by_couple",
                "compared",
                "difference_words",
                "named",
            ),
            "erase": (
                "Erased",
                "Eraser",
                "ErasurePlan",
            ),
            "erasures": ("ErasureBook",),
            "export": (
                "Exported",
                "export_tenant",
            ),
            "history": (
                "Change",
                "changes",
                "rows_as_of",
            ),
            "past": (
                "OWNER_COLUMNS",
                "AuditHistory",
                "CoupleRows",
                "read_couple_rows",
                "scrub_erased",
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
    "OWNER_COLUMNS",
    "AuditHistory",
    "Change",
    "ComparedTable",
    "CoupleDifference",
    "CoupleInTable",
    "CoupleRows",
    "Difference",
    "Erased",
    "Eraser",
    "ErasureBook",
    "ErasurePlan",
    "Exported",
    "IntegrationSecrets",
    "Subject",
    "SubjectKind",
    "Wedding",
    "WeddingCalendar",
    "by_couple",
    "change_words",
    "changes",
    "compared",
    "difference_words",
    "export_tenant",
    "named",
    "names_of_couples",
    "parse_id",
    "read_bulk_changes",
    "read_couple_rows",
    "read_loads",
    "reasons_to_wait",
    "rows_as_of",
    "scrub_erased",
    "tables_compared",
]
