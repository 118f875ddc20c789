"""Judge a live database by its catalogue: what no file shows, because several files and hands made it.

The checks that Supabase's Splinter makes, asked of our own schemas, and those of this schema's own rules
(docs/explanation/tenancy.md). Nothing is written and no table of a tenant is read.
"""

from dataclasses import dataclass
from typing import Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from wedsync.database import ConnectionTarget
from wedsync.migrations.lint.model import Level
from wedsync.sql import statements


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueRule:
    """One question of `catalogue_lint.sql`, and what to do about its answers."""

    name: str
    level: Level
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueFinding:
    """An object that breaks a rule; `reason` where that is meant."""

    rule: str
    level: Level
    subject: str
    message: str
    hint: str
    reason: str | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "rule": self.rule,
            "level": self.level.value,
            "object": self.subject,
            "message": self.message,
            "hint": self.hint,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueReport:
    """What lint says of a database."""

    findings: tuple[CatalogueFinding, ...]
    """To be mended, errors first."""
    meant: tuple[CatalogueFinding, ...]
    """Broken on purpose, each with its reason."""

    def is_clean(self, *, strict: bool = False) -> bool:
        """Whether there is nothing to mend; `strict` counts warnings too."""
        return not any(strict or finding.level is Level.ERROR for finding in self.findings)

    def to_json(self) -> dict[str, object]:
        return {
            "ok": self.is_clean(),
            "rules": len(RULES),
            "findings": [finding.to_json() for finding in self.findings],
            "meant": [finding.to_json() for finding in self.meant],
        }


def _error(name: str, hint: str) -> CatalogueRule:
    return CatalogueRule(name=name, level=Level.ERROR, hint=hint)


def _warning(name: str, hint: str) -> CatalogueRule:
    return CatalogueRule(name=name, level=Level.WARNING, hint=hint)


RULES: Final = (
    _error("rls-disabled", "alter table … enable row level security, force row level security; then policies"),
    _error("rls-disabled-in-api", "alter table … enable row level security, force row level security"),
    _error("rls-not-forced", "alter table … force row level security"),
    _error("policy-without-rls", "alter table … enable row level security, or drop the policies"),
    _error("rls-without-policy", "wedsync migrate new writes the policies of a table"),
    _error("no-tenant-policy", "create policy tenant on … as restrictive to anon, authenticated using (…)"),
    _error("policy-calls-per-row", "column = any ((select app.my_couples())::uuid[]): asked once a statement"),
    _error("policy-always-true", "say whose rows: using (couple_id = any (…))"),
    _error("policy-for-everybody", "create policy … to authenticated"),
    _warning("policies-overlap", "put them into one policy with OR"),
    _error("policy-trusts-user-metadata", "decide rights by membership, or by app metadata"),
    _error("helper-not-stable", "alter function … stable"),
    _error("table-without-key", "primary key (couple_id, id)"),
    _error("key-without-tenant", "primary key (couple_id, id), or (organization_id, id)"),
    _warning("index-without-tenant", "lead with couple_id or organization_id: each query asks for one tenant"),
    _error("unique-without-tenant", "make it unique within the tenant"),
    _error("foreign-key-without-tenant", "reference (couple_id, id) by both columns"),
    _warning("foreign-key-without-index", "create index on the key's columns: else each delete reads the table"),
    _warning("index-twice", "drop one of them"),
    _error("tenant-can-be-updated", "revoke update on …; grant update (the other columns) on …"),
    _warning("random-key", "default app.uuid_v7()"),
    _error("right-that-policies-do-not-bound", "revoke truncate, references, trigger on …"),
    _error("granted-to-anonymous", "revoke all on … from anon"),
    _error("granted-to-everybody", "revoke all on … from public"),
    _error("sensitive-column-readable", "grant select on the other columns only"),
    _error("view-of-its-owner", "alter view … set (security_invoker = true)"),
    _error("accounts-in-a-view", "show what is needed of a person in a table of the tenant"),
    _error("materialised-view-in-api", "keep it in another schema, behind a function"),
    _error("foreign-table-in-api", "keep it in another schema, behind a function"),
    _warning("extension-in-api", "alter extension … set schema extensions"),
    _error("search-path-open", "alter function … set search_path = ''"),
    _error("executable-by-everybody", "revoke execute on function … from public"),
    _error("definer-in-api", "put it into app, and call it from a function that runs as the caller"),
    _warning("no-touch-trigger", "create trigger touch before update on … execute function app.touch()"),
    _error("no-audit-trigger", "select audit.watch('…')"),
    _warning("no-comment", "comment on … is '…'"),
    _warning("column-hinders-upgrade", "keep the name as text, or the number as oid"),
)

_EVERYBODYS_FIELDS = "the kinds of core fields are the same for everybody: no tenant's"
MEANT: Final = {
    ("unique-without-tenant", "public.organizations_slug_key"): "a slug is a business's public address",
    ("key-without-tenant", "public.core_field_definitions"): _EVERYBODYS_FIELDS,
    ("foreign-key-without-tenant", "public.core_field_values"): _EVERYBODYS_FIELDS,
    ("index-without-tenant", "public.core_field_values_by_definition"): _EVERYBODYS_FIELDS,
    (
        "table-without-key",
        "audit.record_version",
    ): "rows are only added; a key would cost each write an index",
    ("sensitive-column-readable", "public.devices.push_token"): "a person reads the own devices' tokens only",
}
"""What breaks a rule on purpose, by rule and object: why."""

_EXPOSED: Final = ["public"]
_OURS: Final = ["public", "auth", "app", "ops", "audit"]
_CALLERS: Final = ["anon", "authenticated"]
_TENANT_COLUMNS: Final = ["couple_id", "organization_id", "user_id"]


async def lint_catalogue(target: ConnectionTarget) -> CatalogueReport:
    """Ask every rule of a database; writes nothing. Raises `CannotConnect`."""
    async with await target.connect(autocommit=False) as connection:
        report = await read_findings(connection)
        await connection.rollback()
    return report


async def read_findings(connection: AsyncConnection[TupleRow]) -> CatalogueReport:
    """The same, inside the transaction of a connection."""
    sql = statements("catalogue_lint")
    values = {"exposed": _EXPOSED, "ours": _OURS, "callers": _CALLERS, "tenant_columns": _TENANT_COLUMNS}
    found: list[CatalogueFinding] = []
    for rule in RULES:
        rows = await (await connection.execute(sql[rule.name], values)).fetchall()
        found += [
            CatalogueFinding(
                rule=rule.name,
                level=rule.level,
                subject=str(name),
                message=str(message),
                hint=rule.hint,
                reason=MEANT.get((rule.name, str(name))),
            )
            for name, message in sorted(rows)
        ]
    found.sort(key=lambda finding: finding.level is not Level.ERROR)
    return CatalogueReport(
        findings=tuple(finding for finding in found if finding.reason is None),
        meant=tuple(finding for finding in found if finding.reason is not None),
    )
