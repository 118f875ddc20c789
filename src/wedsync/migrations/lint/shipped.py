"""Exceptions for files that shipped before there was lint: they are never edited, not even by a comment."""

from dataclasses import dataclass

_BEFORE_ISOLATION = (
    "0006_isolation does it for every table there was, and until then no role but the owner is granted any"
)
_IS_TENANT = "is itself the tenant that others name"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedException:
    """A rule that one shipped file breaks, where `about` stands in the finding's message."""

    checksum: str
    """Of the file: another file of the same name is excused from nothing."""
    rule: str
    about: str
    reason: str


_WITHOUT_ISOLATION = {
    "7560900640774b53f3e7e1bfe436b346d34bf8e0b61cd533f146b0764489dcc9": "0002_tenancy",
    "5f9a1a7f08e796da5f76ddf31b4e54c049823166eb2f76ffbb1b91ca45012ef8": "0003_guests",
    "8d652f0fd0be85e8fdead70f11f7260f003be72d00cdab934fed7670e2c61eb1": "0004_wedding_day",
    "b91c1fefb1385993b9293eb596fe4ab880e20779e76e293fbf6ba721b14df066": "0005_messages",
}

EXCEPTIONS: tuple[ShippedException, ...] = (
    *(
        ShippedException(checksum=checksum, rule=rule, about="public.", reason=_BEFORE_ISOLATION)
        for checksum in _WITHOUT_ISOLATION
        for rule in ("table-without-rls", "table-without-forced-rls", "table-without-tenant-policy")
    ),
    *(
        ShippedException(checksum=checksum, rule=rule, about=about, reason=f"{about} {_IS_TENANT}")
        for checksum, name in _WITHOUT_ISOLATION.items()
        if name == "0002_tenancy"
        for rule, about in (
            ("table-without-tenant-column", "public.organizations"),
            ("primary-key-without-tenant", "public.couples"),
        )
    ),
)
