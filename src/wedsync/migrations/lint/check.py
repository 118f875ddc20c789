"""Lint a row of migrations: our rules, squawk's, and the exceptions that the files make."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wedsync.errors import UsageProblem
from wedsync.migrations.files.directory import content_problems, read_files
from wedsync.migrations.files.migration import MigrationFile, MigrationFiles
from wedsync.migrations.files.problems import Problem
from wedsync.migrations.lint.allow import BAD_ALLOW, UNUSED_ALLOW, Allowance, BadAllowance, read_allowances
from wedsync.migrations.lint.model import Allowed, Finding, Level, Rule, Source
from wedsync.migrations.lint.rules import OWN_RULES, RULES_BY_NAME
from wedsync.migrations.lint.script import Script, read_scripts
from wedsync.migrations.lint.shipped import EXCEPTIONS, ShippedException
from wedsync.migrations.lint.squawk import Violation, find_violations


@dataclass(frozen=True, slots=True, kw_only=True)
class LintReport:
    """What lint says of some files."""

    files: tuple[MigrationFile, ...]
    """Those that were looked at."""
    problems: tuple[Problem, ...]
    """Why they would not run at all; rules look at files without such problems only."""
    findings: tuple[Finding, ...]
    allowed: tuple[Allowed, ...]

    def is_clean(self, *, strict: bool = False) -> bool:
        """Whether there is nothing to mend; `strict` counts warnings too."""
        return not self.problems and not any(strict or found.level is Level.ERROR for found in self.findings)

    def to_json(self) -> dict[str, object]:
        return {
            "ok": self.is_clean(),
            "files": [file.id for file in self.files],
            "problems": [problem.to_json() for problem in self.problems],
            "findings": [finding.to_json() for finding in self.findings],
            "allowed": [allowed.to_json() for allowed in self.allowed],
        }


def migrations_among(files: Sequence[Path], *, directory: Path) -> tuple[MigrationFiles, frozenset[str] | None]:
    """The migrations that `files` stand among, and the ids of those files; of `directory` and `None` for all of
    them where no file is named. Raises `UsageProblem` for files of several directories, and for other files."""
    if not files:
        return read_files(directory), None
    directories = {file.resolve().parent for file in files}
    if len(directories) > 1:
        raise UsageProblem(
            "these files are of several directories",
            detail=", ".join(sorted(str(place) for place in directories)),
            hint="lint them one directory at a time: what comes before a file is read from its own",
        )
    found = read_files(directories.pop())
    known = {name: file.id for file in found.files for name in (file.file_name, file.rollback_file_name)}
    known |= {problem.id: problem.id for problem in found.problems}
    unknown = [file.name for file in files if file.name not in known and file.stem not in known]
    if unknown:
        raise UsageProblem(
            f"{unknown[0]} is no migration",
            hint="migrations are named 0007_seats.sql; make one: wedsync migrate new",
        )
    return found, frozenset(known.get(file.name, file.stem) for file in files)


async def lint(found: MigrationFiles, *, only: Collection[str] | None = None) -> LintReport:
    """Judge the files with these ids, or all of them; those before them say what is there already."""
    files = tuple(file for file in found.files if only is None or file.id in only)
    problems = [problem for problem in found.problems if only is None or problem.id in only]
    inside = {file.id: content_problems(file) for file in found.files}
    problems += [problem for file in files for problem in inside[file.id]]
    readable = [file for file in found.files if not inside[file.id]]
    judged = [file for file in files if not inside[file.id]]
    violations = await find_violations(judged)
    findings: list[Finding] = []
    allowed: list[Allowed] = []
    for script in read_scripts(readable):
        if script.file in judged:
            mine = [violation for violation in violations if violation.file == script.file]
            kept, excused = _judge(script, mine)
            findings += kept
            allowed += excused
    return LintReport(files=files, problems=tuple(problems), findings=tuple(findings), allowed=tuple(allowed))


def _judge(script: Script, violations: Sequence[Violation]) -> tuple[list[Finding], list[Allowed]]:
    """What is left of a file's findings, and what was allowed; in order of lines."""
    file = script.file
    allowances = read_allowances(file, RULES_BY_NAME)
    given = [allowance for allowance in allowances if isinstance(allowance, Allowance)]
    used: set[Allowance] = set()
    kept: list[Finding] = []
    excused: list[Allowed] = []
    for finding, statement_line in [*_own(script), *_of_squawk(script, violations)]:
        allowance = next((a for a in given if a.rule == finding.rule and a.statement.line == statement_line), None)
        shipped = next((e for e in EXCEPTIONS if _excuses(e, file, finding)), None)
        if allowance is not None:
            used.add(allowance)
            excused.append(Allowed(finding=finding, reason=allowance.reason))
        elif shipped is not None:
            excused.append(Allowed(finding=finding, reason=shipped.reason))
        else:
            kept.append(finding)
    kept += [_of_comment(file, BAD_ALLOW, a.line, a.message) for a in allowances if isinstance(a, BadAllowance)]
    kept += [
        _of_comment(file, UNUSED_ALLOW, a.line, f"{a.rule} does not fire here") for a in given if a not in used
    ]
    return sorted(kept, key=lambda finding: finding.line), sorted(excused, key=lambda one: one.finding.line)


def _own(script: Script) -> Iterator[tuple[Finding, int]]:
    """What our rules find, each with the line of its statement."""
    for rule in OWN_RULES:
        for hit in rule.check(script) if rule.check is not None else ():
            yield (
                Finding(
                    rule=rule.name,
                    level=rule.level,
                    source=rule.source,
                    file_name=script.file.file_name,
                    line=hit.line or hit.seen.line,
                    message=hit.message,
                    hint=hit.hint or rule.hint,
                ),
                hit.seen.statement.line,
            )


def _of_squawk(script: Script, violations: Sequence[Violation]) -> Iterator[tuple[Finding, int]]:
    for violation in violations:
        before = [s.line for s in script.file.statements if s.line <= violation.line]
        yield (
            Finding(
                rule=violation.rule.name,
                level=violation.rule.level,
                source=Source.SQUAWK,
                file_name=script.file.file_name,
                line=violation.line,
                message=violation.message,
                hint=violation.hint,
            ),
            max(before, default=violation.line),
        )


def _excuses(exception: ShippedException, file: MigrationFile, finding: Finding) -> bool:
    return (
        exception.checksum == file.checksum
        and exception.rule == finding.rule
        and exception.about in finding.message
    )


def _of_comment(file: MigrationFile, rule: Rule, line: int, message: str) -> Finding:
    return Finding(
        rule=rule.name,
        level=rule.level,
        source=rule.source,
        file_name=file.file_name,
        line=line,
        message=message,
        hint=rule.hint,
    )
