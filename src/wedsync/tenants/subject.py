"""Whom an export or an erasure is about."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self
from uuid import UUID

from wedsync.errors import UsageProblem


class SubjectKind(StrEnum):
    """A wedding, a business, or one person."""

    COUPLE = "couple"
    ORGANIZATION = "organization"
    USER = "user"

    @property
    def root(self) -> str:
        """The table whose row it is."""
        return {
            SubjectKind.COUPLE: "public.couples",
            SubjectKind.ORGANIZATION: "public.organizations",
            SubjectKind.USER: "auth.users",
        }[self]

    @property
    def column(self) -> str:
        """What other tables call its key."""
        return f"{self.value}_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One couple, organization or user."""

    kind: SubjectKind
    id: UUID

    @classmethod
    def parse(cls, kind: SubjectKind, text: str) -> Self:
        """The subject with this id; `UsageProblem` for what is no uuid."""
        return cls(kind=kind, id=parse_id(text, f"--{kind.value}"))

    def __str__(self) -> str:
        return f"{self.kind.value} {self.id}"


def parse_id(text: str, option: str) -> UUID:
    """The id that an option gives; `UsageProblem` for what is no uuid."""
    try:
        return UUID(text)
    except ValueError as error:
        raise UsageProblem(
            f"{option} takes an id, and {text!r} is none",
            hint="an id looks like 0199f6b4-5c1e-7d3a-9b42-6f0c1d2e3f40",
        ) from error
