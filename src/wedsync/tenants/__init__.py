"""What knows of the tenants: weddings and the businesses that work for them."""

from wedsync.tenants.calendar import Wedding, WeddingCalendar, reasons_to_wait

__all__ = ["Wedding", "WeddingCalendar", "reasons_to_wait"]
