"""Plans and lint reports in words."""

import click

from wedsync.cli.output import put_table
from wedsync.migrations import Problem
from wedsync.migrations.lint import CATALOGUE_RULES, CatalogueReport, Level, LintReport
from wedsync.migrations.plan import Plan


def put_problems(problems: tuple[Problem, ...]) -> None:
    """What must be put right before anything runs."""
    for problem in problems:
        click.echo(f"problem: {problem.message}")
        click.echo(f"    next: {problem.hint}")


def put_plan(plan: Plan) -> None:
    """Each pending file with its statements, then what stands against the run."""
    for planned in plan.pending:
        alone = "" if planned.file.options.transaction else " (each statement commits by itself)"
        click.echo(f"{planned.file.id}{alone}")
        put_table(
            [
                {
                    "line": statement.statement.line,
                    "statement": statement.kind,
                    "locks": ", ".join(f"{lock.mode} {lock.table}" for lock in statement.locks),
                }
                for statement in planned.statements
            ],
            ["line", "statement", "locks"],
        )
    put_problems(plan.problems)
    if plan.pending:
        put_lint(plan.lint, show_allowed=False, with_problems=False)
    click.echo(f"{len(plan.pending)} pending")


def put_lint(report: LintReport, *, show_allowed: bool, with_problems: bool = True) -> None:
    """Findings in order of file and line, then how many."""
    if with_problems:
        put_problems(report.problems)
    for finding in report.findings:
        click.echo(f"{finding.file_name}:{finding.line}: {finding.level} {finding.rule}: {finding.message}")
        click.echo(f"    next: {finding.hint}")
    if show_allowed:
        for one in report.allowed:
            found = one.finding
            click.echo(f"{found.file_name}:{found.line}: allowed {found.rule}: {found.message}")
            click.echo(f"    because {one.reason}")
    if report.findings:
        click.echo("right as it is? On the line before the statement: -- lint: allow RULE because REASON")
    errors = sum(finding.level is Level.ERROR for finding in report.findings) + len(report.problems)
    warnings = sum(finding.level is Level.WARNING for finding in report.findings)
    click.echo(
        f"{_count(len(report.files), 'migration')}: {_count(errors, 'error')}, {_count(warnings, 'warning')}, "
        f"{len(report.allowed)} allowed"
    )


def put_catalogue(report: CatalogueReport, *, show_allowed: bool) -> None:
    """What lint says of a database, errors first, then how much."""
    for finding in report.findings:
        click.echo(f"{finding.subject}: {finding.level} {finding.rule}: {finding.message}")
        click.echo(f"    next: {finding.hint}")
    if show_allowed:
        for finding in report.meant:
            click.echo(f"{finding.subject}: allowed {finding.rule}: {finding.message}")
            click.echo(f"    because {finding.reason}")
    errors = sum(finding.level is Level.ERROR for finding in report.findings)
    click.echo(
        f"{_count(len(CATALOGUE_RULES), 'rule')} of the catalogue: {_count(errors, 'error')}, "
        f"{_count(len(report.findings) - errors, 'warning')}, {len(report.meant)} allowed"
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
