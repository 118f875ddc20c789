"""Rules about the file itself: its options, and what lint cannot see."""

from collections.abc import Iterator

from wedsync.migrations.lint.model import Hit, Level, Rule, rule
from wedsync.migrations.lint.script import Script


@rule("needless-transaction-none", Level.WARNING, hint="take -- transaction: none out")
def needless_transaction_none(script: Script) -> Iterator[Hit]:
    """Without a transaction around it a file can stop half-way, each statement already committed. None of its
    statements asks for that."""
    if not script.file.options.transaction and not any(s.needs_own_transaction for s in script.file.statements):
        yield Hit(seen=script.seen[0], message="no statement here needs to run outside a transaction")


@rule("mixed-transaction-none", Level.WARNING, hint="move the others into a migration of their own")
def mixed_transaction_none(script: Script) -> Iterator[Hit]:
    """In a file without a transaction a failure leaves what ran before it. The runner resumes there, but
    until then the schema is one that nobody wrote: keep such a file to the statements that need it."""
    if not script.file.options.transaction and any(s.needs_own_transaction for s in script.file.statements):
        for seen in script.seen:
            if seen.node is seen.statement.node and not seen.statement.needs_own_transaction:
                yield Hit(seen=seen, message=f"could run in a transaction: {seen.statement.first_line}")


@rule(
    "dynamic-sql",
    Level.WARNING,
    hint="write the statements out, or loop over constants: foreach name in array array['…']",
)
def dynamic_sql(script: Script) -> Iterator[Hit]:
    """SQL that a DO block makes when it runs is not seen by any rule of this page. Lint reads EXECUTE of a
    constant, and of format() with the variables of FOREACH loops over constant arrays; the checks over the
    catalogue of the shadow database see what the others made."""
    for hidden in script.hidden:
        yield Hit(seen=hidden, line=hidden.line, message="lint cannot see what this block runs")


RULES: tuple[Rule, ...] = (needless_transaction_none, mixed_transaction_none, dynamic_sql)
