"""squawk: a linter for what stops others while a migration runs, started as a program.

Its rules know which tables a file itself has made. Which of them are followed, how bad each is, and which are
not and why, is decided here; a rule that a newer squawk brings is a warning until it is.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from types import MappingProxyType

import msgspec

from wedsync.errors import ProgramFailed
from wedsync.migrations.files.migration import MigrationFile
from wedsync.migrations.lint.model import Level, Rule, Source
from wedsync.process import run

PG_VERSION = "15"
"""The oldest server that a migration has to suit."""

_DEADLINE = timedelta(minutes=2)


def _rule(name: str, level: Level, about: str, hint: str) -> Rule:
    return Rule(name=name, level=level, about=about, hint=hint, source=Source.SQUAWK)


RULES: tuple[Rule, ...] = (
    _rule(
        "require-concurrent-index-creation",
        Level.ERROR,
        "CREATE INDEX on a table that was there before blocks its writers until the index is built.",
        "CREATE INDEX CONCURRENTLY, in a migration of its own whose head says -- transaction: none",
    ),
    _rule(
        "require-concurrent-index-deletion",
        Level.WARNING,
        "DROP INDEX takes ACCESS EXCLUSIVE on the table: short, but behind a long query everybody waits.",
        "DROP INDEX CONCURRENTLY, in a migration of its own whose head says -- transaction: none",
    ),
    _rule(
        "require-concurrent-reindex",
        Level.ERROR,
        "REINDEX blocks writers, and readers that would use the index.",
        "leave it to maintenance: wedsync maintain run",
    ),
    _rule(
        "require-concurrent-partition-detach",
        Level.WARNING,
        "DETACH PARTITION takes ACCESS EXCLUSIVE on the partitioned table.",
        "DETACH PARTITION … CONCURRENTLY, in a migration of its own whose head says -- transaction: none",
    ),
    _rule(
        "adding-field-with-default",
        Level.ERROR,
        "A new column whose default is not the same for every row (volatile, generated) rewrites the table under"
        " ACCESS EXCLUSIVE.",
        "add the column without default, set the default, fill the rows in batches",
    ),
    _rule(
        "adding-not-nullable-field",
        Level.ERROR,
        "SET NOT NULL reads the whole table under ACCESS EXCLUSIVE.",
        "add check (… is not null) not valid, validate it in the next migration, then SET NOT NULL and drop it",
    ),
    _rule(
        "adding-required-field",
        Level.ERROR,
        "A new NOT NULL column without default cannot be added to a table that has rows.",
        "give it a constant default, or let it be NULL at first",
    ),
    _rule(
        "adding-serial-primary-key-field",
        Level.ERROR,
        "Adding a primary key builds its index under ACCESS EXCLUSIVE.",
        "make the unique index CONCURRENTLY, then ADD PRIMARY KEY USING INDEX",
    ),
    _rule(
        "constraint-missing-not-valid",
        Level.ERROR,
        "A new constraint on a table that was there before reads all of it, holding up writers (a foreign key: of"
        " both tables).",
        "ADD CONSTRAINT … NOT VALID, and VALIDATE CONSTRAINT in the next migration",
    ),
    _rule(
        "disallowed-unique-constraint",
        Level.ERROR,
        "A new UNIQUE constraint builds its index under ACCESS EXCLUSIVE.",
        "make the unique index CONCURRENTLY, then ADD CONSTRAINT … UNIQUE USING INDEX",
    ),
    _rule(
        "changing-column-type",
        Level.ERROR,
        "Most changes of a column's type rewrite the table and its indexes under ACCESS EXCLUSIVE, and clients"
        " that still run may not understand the new one.",
        "add a column of the new type, fill it, move the clients over; the dry run says what is rewritten",
    ),
    _rule(
        "ban-drop-column",
        Level.ERROR,
        "What was in the column is gone, and clients that still run ask for it.",
        "drop it one release after the last client that reads it, with that as the reason",
    ),
    _rule(
        "ban-drop-table",
        Level.ERROR,
        "What was in the table is gone, and clients that still run ask for it.",
        "drop it one release after the last client that reads it, with that as the reason",
    ),
    _rule(
        "ban-drop-database",
        Level.ERROR,
        "A migration changes the database that it runs in; it drops none.",
        "take it out",
    ),
    _rule(
        "ban-drop-schema",
        Level.ERROR,
        "With the schema goes what is in it.",
        "drop what is in it, one thing at a time",
    ),
    _rule(
        "ban-drop-not-null",
        Level.WARNING,
        "Clients that count on a value may meet NULL.",
        "a reason why they do not",
    ),
    _rule(
        "ban-drop-constraint",
        Level.WARNING,
        "Rows that the constraint kept out may come in.",
        "a reason why they may",
    ),
    _rule(
        "ban-drop-function",
        Level.WARNING,
        "Clients that still run may call it.",
        "a reason why nobody does",
    ),
    _rule(
        "ban-drop-view",
        Level.WARNING,
        "Clients that still run may read it.",
        "a reason why nobody does",
    ),
    _rule(
        "ban-set-schema",
        Level.ERROR,
        "Clients that still run look for it where it was.",
        "make it anew in the other schema, and drop the old one a release later",
    ),
    _rule(
        "renaming-column",
        Level.ERROR,
        "Clients that still run ask for the old name.",
        "add a column, move the clients over, drop the old one a release later",
    ),
    _rule(
        "renaming-table",
        Level.ERROR,
        "Clients that still run ask for the old name.",
        "a view of the old name (security_invoker) for one release",
    ),
    _rule(
        "ban-char-field",
        Level.ERROR,
        "char(n) pads with blanks.",
        "text with check (length(…) <= n)",
    ),
    _rule(
        "prefer-text-field",
        Level.WARNING,
        "To change the length of a varchar needs ACCESS EXCLUSIVE.",
        "text with check (length(…) <= n)",
    ),
    _rule(
        "prefer-timestamp-tz",
        Level.ERROR,
        "timestamp without time zone means another moment in every time zone; weddings are in many.",
        "timestamptz",
    ),
    _rule(
        "prefer-identity",
        Level.WARNING,
        "serial makes a sequence with rights and an owner of its own.",
        "uuid default app.uuid_v7(), or generated always as identity",
    ),
    _rule(
        "require-table-schema",
        Level.WARNING,
        "A name without schema means what the search_path of the session makes of it.",
        "name the schema: public.…",
    ),
    _rule(
        "identifier-too-long",
        Level.ERROR,
        "PostgreSQL cuts names after 63 bytes, and two may become one.",
        "a shorter name",
    ),
    _rule(
        "require-enum-value-ordering",
        Level.WARNING,
        "A value added without BEFORE or AFTER sorts last.",
        "ADD VALUE … BEFORE or AFTER …",
    ),
    _rule(
        "ban-duplicate-column-assignments",
        Level.ERROR,
        "PostgreSQL refuses to set a column twice.",
        "set it once",
    ),
    _rule(
        "ban-create-domain-with-constraint",
        Level.WARNING,
        "A domain's constraint cannot be added or changed without reading every table that uses it.",
        "a check on the columns",
    ),
    _rule(
        "ban-alter-domain-with-add-constraint",
        Level.ERROR,
        "A constraint added to a domain is checked against every table that uses it, under lock.",
        "ADD CONSTRAINT … NOT VALID, and VALIDATE CONSTRAINT in the next migration",
    ),
    _rule(
        "syntax-error",
        Level.WARNING,
        "squawk has a parser of its own, and PostgreSQL's has read the file already: squawk's rules may miss this"
        " statement, nothing else is wrong with it.",
        "look at the statement with squawk's rules in mind",
    ),
)

NOT_FOLLOWED = MappingProxyType(
    {
        "require-lock-timeout": "the runner sets lock_timeout for every file, and tries again",
        "require-statement-timeout": "the runner bounds the wait for locks; an index may take what it takes",
        "prefer-robust-stmts": "the runner keeps account of each step and resumes; IF NOT EXISTS would take an"
        " INVALID index for a good one",
        "prefer-bigint-over-int": "keys are uuid; the integers that are left are minutes, counts and priorities"
        " with a CHECK",
        "prefer-bigint-over-smallint": "as for int",
        "adding-foreign-key-constraint": "fires with NOT VALID too: constraint-missing-not-valid is heeded",
        "ban-concurrent-index-creation-in-transaction": "refused at plan already",
        "transaction-nesting": "a file's own BEGIN and COMMIT are refused at plan already",
        "ban-uncommitted-transaction": "a file's own BEGIN and COMMIT are refused at plan already",
        "ban-truncate-cascade": "every TRUNCATE is an error of ours",
    }
)
"""Rules that contradict a decision of this project or are judged elsewhere, each with why."""

_OPTED_IN = ("require-table-schema",)


class _Violation(msgspec.Struct):
    """One finding in squawk's JSON; lines count from 0."""

    file: str
    line: int
    level: str
    message: str
    rule_name: str
    help: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What squawk found in a file; `line` counts from 1."""

    file: MigrationFile
    line: int
    rule: Rule
    message: str
    hint: str


async def find_violations(files: Sequence[MigrationFile]) -> tuple[Violation, ...]:
    """What squawk says of these files, by rules that are followed."""
    found: list[Violation] = []
    for in_transaction in (True, False):
        chosen = [file for file in files if file.options.transaction is in_transaction]
        if chosen:
            found += await _judge(chosen, in_transaction=in_transaction)
    return tuple(found)


def squawk_program() -> Path:
    """Beside the Python that runs us, where its package puts it; else from the PATH."""
    beside = Path(sys.executable).parent / "squawk"
    return beside if beside.exists() else Path(which("squawk") or "squawk")


async def _judge(files: Sequence[MigrationFile], *, in_transaction: bool) -> Iterable[Violation]:
    by_name = {file.file_name: file for file in files}
    with TemporaryDirectory(prefix="wedsync-lint.") as place:
        for file in files:
            (Path(place) / file.file_name).write_text(file.text, encoding="utf-8")
        (Path(place) / "squawk.toml").write_text("")  # or it looks for one in every folder above
        ended = await run(
            [
                squawk_program(),
                "--config=squawk.toml",
                "--reporter=json",
                f"--pg-version={PG_VERSION}",
                "--assume-in-transaction" if in_transaction else "--no-assume-in-transaction",
                f"--exclude={','.join(NOT_FOLLOWED)}",
                f"--include={','.join(_OPTED_IN)}",
                *by_name,
            ],
            deadline=_DEADLINE,
            cwd=Path(place),
        )
    if ended.exit_status not in {0, 1}:  # 1: it found something
        ended.check()
    try:
        violations = msgspec.json.decode(ended.stdout, type=list[_Violation])
    except msgspec.DecodeError as error:
        raise ProgramFailed("squawk did not answer in JSON", detail=ended.stdout[:200]) from error
    return [_violation(violation, by_name[violation.file]) for violation in violations]


def _violation(said: _Violation, file: MigrationFile) -> Violation:
    known = {rule.name: rule for rule in RULES}.get(said.rule_name)
    rule = known or _rule(
        said.rule_name, Level.WARNING, said.message, said.help or "see squawk's own page about it"
    )
    return Violation(
        file=file,
        line=said.line + 1,
        rule=rule,
        message=" ".join(said.message.split()).rstrip("."),
        hint=rule.hint,
    )
