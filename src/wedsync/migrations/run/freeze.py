"""Days on which the schema does not change."""

from collections.abc import Sequence
from typing import Protocol

from wedsync.errors import MigrationsFrozen, UsageProblem
from wedsync.migrations.ledger.history import Entry, EventKind
from wedsync.migrations.run.session import Session


class Freeze(Protocol):
    """Knows whether today is such a day; handed down by who knows of weddings."""

    async def reasons(self) -> Sequence[str]:
        """Why nothing disruptive may be done now, a line each; none: it may."""
        ...


async def respect(session: Session, freeze: Freeze | None, override: str | None) -> tuple[str, ...]:
    """Refuse to go on while the freeze holds; overridden, write down why. The reasons that there were.

    Raises `MigrationsFrozen`; `UsageProblem` for an override without words.
    """
    if override is not None and not override.strip():
        raise UsageProblem("an override needs its reason", hint='--override "why this cannot wait"')
    reasons = tuple(await freeze.reasons()) if freeze is not None else ()
    if not reasons:
        return ()
    if override is None:
        raise MigrationsFrozen(
            "the schema does not change today",
            detail="\n        ".join(reasons),
            hint='wait, or go ahead with a reason, which is recorded: --override "why this cannot wait"',
        )
    async with session.transaction():
        await session.append(
            Entry(
                kind=EventKind.OVERRIDE, name="override", reason=override.strip(), detail={"frozen": list(reasons)}
            )
        )
    return reasons
