"""The migration files: their names, order and checksums, and what is wrong with them before anything runs."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from wedsync.migrations.files.header import NO_OPTIONS, Header, Options, read_header
from wedsync.migrations.files.migration import MigrationFile, MigrationFiles, normalise
from wedsync.migrations.files.order import UnknownDependency, cycles, run_order, unknown_dependencies
from wedsync.migrations.files.problems import Problem, ProblemKind

SHIPPED = Path(__file__).parents[1] / "versions"
"""The platform's own schema."""

_FORWARD = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z][a-z0-9_]*)\.sql")
_ROLLBACK_SUFFIX = ".rollback.sql"


def read_files(directory: Path = SHIPPED) -> MigrationFiles:
    """Read a directory of migrations; needs no database and parses nothing."""
    return order_files({path.name: path.read_bytes() for path in directory.glob("*.sql")})


def content_problems(file: MigrationFile) -> tuple[Problem, ...]:
    """What only the parser finds in a file and its rollback; to be asked of files that are going to run."""
    from wedsync.migrations.files.content import problems_inside  # noqa: PLC0415 - the parser takes 80 ms to import

    return problems_inside(file)


def order_files(contents: Mapping[str, bytes]) -> MigrationFiles:
    """The migrations among files, given by name, and every problem that shows without database or parser."""
    problems: list[Problem] = []
    files: list[MigrationFile] = []
    for file_name in sorted(contents):
        if file_name.endswith(_ROLLBACK_SUFFIX):
            forward = file_name.removesuffix(_ROLLBACK_SUFFIX) + ".sql"
            if forward not in contents:
                problems.append(_rollback_alone(file_name, forward))
            continue
        match = _FORWARD.fullmatch(file_name)
        if match is None:
            problems.append(_bad_name(file_name))
            continue
        text, options = _read(file_name, contents, problems)
        if text is None:
            continue
        rollback, rollback_options = _read_rollback(file_name, contents, problems)
        files.append(
            MigrationFile(
                number=int(match["number"]),
                name=match["name"],
                text=text,
                raw_checksum=hashlib.sha256(contents[file_name]).hexdigest(),
                options=options,
                rollback=rollback,
                rollback_options=rollback_options,
            )
        )
    problems += _duplicates(files)
    problems += [_unknown_dependency(unknown) for unknown in unknown_dependencies(files)]
    problems += [_cycle(cycle) for cycle in cycles(files)]
    return MigrationFiles(files=run_order(files), problems=tuple(problems))


def _read(file_name: str, contents: Mapping[str, bytes], problems: list[Problem]) -> tuple[str | None, Options]:
    """A file's text and options; no text if it is not to be read. Adds what is wrong to `problems`."""
    raw = contents[file_name]
    try:
        text = normalise(raw)
    except UnicodeDecodeError as error:
        problems.append(_not_utf8(file_name, raw, error))
        return None, NO_OPTIONS
    header = read_header(text)
    problems += _header_problems(file_name, text, header)
    return text, header.options


def _read_rollback(
    forward: str, contents: Mapping[str, bytes], problems: list[Problem]
) -> tuple[str | None, Options]:
    file_name = forward.removesuffix(".sql") + _ROLLBACK_SUFFIX
    if file_name not in contents:
        problems.append(_rollback_missing(forward, file_name))
        return None, NO_OPTIONS
    text, options = _read(file_name, contents, problems)
    if options.depends:
        problems.append(
            Problem(
                kind=ProblemKind.BAD_OPTION,
                id=_id_of(file_name),
                message=f"{file_name}: a rollback depends on nothing",
                hint=f"put depends into {forward}: what runs later is undone first",
            )
        )
    return text, options


def _header_problems(file_name: str, text: str, header: Header) -> Iterator[Problem]:
    zero = text.find("\x00")
    if zero >= 0:
        yield Problem(
            kind=ProblemKind.UNREADABLE,
            id=_id_of(file_name),
            message=f"{file_name}:{text.count(chr(10), 0, zero) + 1}: a zero byte",
            hint="save it as plain UTF-8 text",
        )
    for found in header.problems:
        yield Problem(
            kind=ProblemKind.BAD_OPTION,
            id=_id_of(file_name),
            message=f"{file_name}:{found.line}: {found.message}",
            hint=found.hint,
        )
    if header.end == len(text):
        yield Problem(
            kind=ProblemKind.EMPTY,
            id=_id_of(file_name),
            message=f"{file_name} holds no statement",
            hint="write its SQL, or remove the file",
        )


def _id_of(file_name: str) -> str:
    return file_name.removesuffix(".sql").removesuffix(".rollback")


def _duplicates(files: Sequence[MigrationFile]) -> list[Problem]:
    by_number: dict[int, list[MigrationFile]] = defaultdict(list)
    for file in files:
        by_number[file.number].append(file)
    return [
        Problem(
            kind=ProblemKind.DUPLICATE_NUMBER,
            id=same[0].id,
            message=f"{len(same)} files have the number {number:04d}: {', '.join(f.file_name for f in same)}",
            hint="give the newer one the next free number: wedsync migrate new NAME",
        )
        for number, same in by_number.items()
        if len(same) > 1
    ]


def _unknown_dependency(unknown: UnknownDependency) -> Problem:
    return Problem(
        kind=ProblemKind.UNKNOWN_DEPENDENCY,
        id=unknown.file.id,
        message=f"{unknown.file.file_name} depends on {unknown.named}, which is not there",
        hint=f"did you mean {unknown.meant.id}?"
        if unknown.meant
        else f"put {unknown.named}.sql back, or name another",
    )


def _cycle(cycle: Sequence[MigrationFile]) -> Problem:
    first, *others = (file.id for file in cycle)
    chain = "".join(f" → {name}" for name in (*others, first))
    return Problem(
        kind=ProblemKind.CYCLE,
        id=first,
        message=f"no order is possible, each depends on the next: {first}{chain}"
        if others
        else f"{first} depends on itself",
        hint="take one of these out of its depends line",
    )


def _bad_name(file_name: str) -> Problem:
    return Problem(
        kind=ProblemKind.BAD_NAME,
        id=file_name,
        message=f"{file_name} is not named like a migration",
        hint="four digits, an underscore, lower-case words: 0007_seats.sql beside 0007_seats.rollback.sql",
    )


def _rollback_alone(file_name: str, forward: str) -> Problem:
    return Problem(
        kind=ProblemKind.ROLLBACK_ALONE,
        id=file_name,
        message=f"{file_name} undoes {forward}, which is not there",
        hint=f"put {forward} back, or remove the rollback",
    )


def _rollback_missing(forward: str, file_name: str) -> Problem:
    return Problem(
        kind=ProblemKind.ROLLBACK_MISSING,
        id=_id_of(forward),
        message=f"{forward} has no {file_name}",
        hint="write how it is undone, before it runs anywhere",
    )


def _not_utf8(file_name: str, raw: bytes, error: UnicodeDecodeError) -> Problem:
    line = raw.count(b"\n", 0, error.start) + 1
    return Problem(
        kind=ProblemKind.UNREADABLE,
        id=_id_of(file_name),
        message=f"{file_name}:{line}: not UTF-8 (byte 0x{raw[error.start]:02x})",
        hint="save it as UTF-8",
    )
