"""Write docs/reference/ from the code: settings, commands, errors, lint, SQL, faults. A test holds
the pages against it.

Run: .venv/bin/python docs/generate.py
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import msgspec
from pglast import ast as sql_ast
from pglast.enums import AlterTableType, ObjectType
from pglast.stream import RawStream

from wedsync import __version__, errors
from wedsync.api.operations import openapi
from wedsync.app import Platform, StatusReader
from wedsync.app.operations import all_operations
from wedsync.cli import main
from wedsync.config import Config, Home, format_value, load_config
from wedsync.config import model as config_model
from wedsync.migrations import SHIPPED, read_files
from wedsync.migrations.lint import CATALOGUE_RULES, NOT_FOLLOWED, RULES, Rule, Source

_GROUPS = {
    "0": "Any folder",
    "1": "Configuration and set-up",
    "2": "Cluster and database",
    "3": "Backup",
    "4": "Recovery",
    "5": "Migrations",
    "6": "Tenants and the demo season",
    "8": "Operations API",
}
_MADE = "<!-- Written by docs/generate.py; change the code instead. -->\n\n"


def settings_page() -> str:
    """Every setting with its default and what it is for."""
    about = dict(_attribute_docs())
    rows: list[str] = []
    for setting in load_config(Home(Path("/nonexistent")), {}).settings:
        section, _, name = setting.name.rpartition(".")
        words = about.get((_class_of(section), name), "")
        value = format_value(setting.value).replace("|", "\\|")
        rows.append(f"| `{setting.name}` | {value} | {words} |")
    return (
        f"# Settings\n\n{_MADE}"
        "In `wedsync.toml` of the home, or as an environment variable: `backup.heartbeat_every` is\n"
        "`WEDSYNC_BACKUP__HEARTBEAT_EVERY`. Durations are written like `90s`, `15min`, `1h`, `30d`.\n"
        "`wedsync config show` prints every value of a home and where it came from. The environments `staging`\n"
        "and `development` change some defaults: connections, retention and the rhythm of backups.\n\n"
        "| setting | default | meaning |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
    )


def _class_of(section: str) -> str:
    kind: type[msgspec.Struct] = Config
    for name in section.split("."):
        if not name:
            continue
        found = next(item.type for item in msgspec.structs.fields(kind) if item.name == name)
        options = getattr(found, "__args__", (found,))
        kind = next(
            option for option in options if isinstance(option, type) and issubclass(option, msgspec.Struct)
        )
    return kind.__name__


def _attribute_docs() -> Iterator[tuple[tuple[str, str], str]]:
    """The string behind each attribute of the configuration's classes."""
    tree = ast.parse(inspect.getsource(config_model))
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for item, after in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(item, ast.AnnAssign)
                and isinstance(item.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                yield (node.name, item.target.id), " ".join(after.value.value.split())


def commands_page() -> str:
    """The help of every command."""
    parts = [
        f"# Commands\n\n{_MADE}"
        "Results go to standard output, words about the work to standard error. Exit codes: 0 done, 1 it failed,\n"
        "2 wrong usage, 3 it worked and the answer is no. Every command takes `--home` and, where it answers a\n"
        "question, `--json`.\n"
    ]
    for path, command in _commands(main, ["wedsync"]):
        context = click.Context(command, info_name=" ".join(path), help_option_names=["-h", "--help"])
        parts.append(f"## {' '.join(path)}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _commands(group: click.Group, path: list[str]) -> Iterator[tuple[list[str], click.Command]]:
    for name, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from _commands(command, [*path, name])
        else:
            yield [*path, name], command


def errors_page() -> str:
    """Every error class by its code."""
    found = sorted(
        (
            item
            for item in vars(errors).values()
            if inspect.isclass(item) and issubclass(item, errors.WedsyncError)
        ),
        key=lambda item: item.code,
    )
    parts = [
        f"# Errors\n\n{_MADE}"
        "Every error says what happened, what was seen, and what to do next; its code stands in brackets.\n"
    ]
    group = ""
    for item in found:
        if item.code[2] != group:
            group = item.code[2]
            parts.append(f"## {_GROUPS[group]}\n")
        words = textwrap.fill(" ".join((item.__doc__ or "").split()), 110)
        parts.append(f"### {item.code} {item.__name__}\n\n{words}\n")
    return "\n".join(parts)


def lint_page() -> str:
    """Every rule of lint: ours, squawk's, those of the catalogue, and squawk's that are not followed."""
    own = [_rule(rule) for rule in RULES if rule.source is Source.WEDSYNC]
    squawk = [_rule(rule) for rule in RULES if rule.source is Source.SQUAWK]
    catalogue = [f"| `{rule.name}` | {rule.level.value} | {_cell(rule.hint)} |" for rule in CATALOGUE_RULES]
    others = [f"| `{name}` | {_cell(why)} |" for name, why in NOT_FOLLOWED.items()]
    return (
        f"# Lint\n\n{_MADE}"
        "`wedsync migrate lint` judges files; an error means exit code 3, a warning does with `--strict` only. "
        "Where\na finding is right as it is, on the line before the statement: "
        "`-- lint: allow RULE because REASON`.\n\n"
        "## Our rules\n\n" + "\n".join(own) + "\n## Rules of squawk\n\n" + "\n".join(squawk) + "\n"
        "## Rules of squawk that are not followed\n\n| rule | why |\n| --- | --- |\n" + "\n".join(others) + "\n\n"
        "## Questions to a database\n\nAsked by `wedsync migrate lint --database`.\n\n"
        "| rule | level | what to do |\n| --- | --- | --- |\n" + "\n".join(catalogue) + "\n"
    )


def _rule(rule: Rule) -> str:
    about = textwrap.fill(rule.about, 110, break_on_hyphens=False)
    return f"### {rule.name}\n\n*{rule.level.value}.* {about}\n\nInstead: {rule.hint}\n"


def _cell(words: str) -> str:
    return words.replace("|", "\\|")


def sql_page() -> str:
    """Tables with their columns, and functions, as the migrations comment on them."""
    tables: dict[str, dict[str, str]] = {}
    comments: dict[str, str] = {}
    functions: dict[str, str] = {}
    for file in read_files(SHIPPED).files:
        for statement in file.statements:
            match statement.node:
                case sql_ast.CreateStmt() as made if not made.partbound:
                    columns = [part for part in made.tableElts or () if isinstance(part, sql_ast.ColumnDef)]
                    name = f"{made.relation.schemaname}.{made.relation.relname}"
                    tables[name] = {column.colname: RawStream()(column.typeName) for column in columns}
                case sql_ast.AlterTableStmt() as changed:
                    name = f"{changed.relation.schemaname}.{changed.relation.relname}"
                    for command in changed.cmds:
                        if command.subtype == AlterTableType.AT_AddColumn:
                            tables[name][command.def_.colname] = RawStream()(command.def_.typeName)
                case sql_ast.CommentStmt(objtype=ObjectType.OBJECT_FUNCTION) as said:
                    functions[RawStream()(said.object).replace(" (", "(")] = said.comment
                case sql_ast.CommentStmt(objtype=ObjectType.OBJECT_TABLE | ObjectType.OBJECT_COLUMN) as said:
                    comments[".".join(part.sval for part in said.object)] = said.comment
                case _:
                    pass
    parts = [
        f"# SQL objects\n\n{_MADE}"
        "What the migrations make, in their own comments. Who may read and write what: explanation/tenancy.md;\n"
        "what functions for administrators measure, and what queued work is: explanation/sql-functions.md.\n",
        "## Tables\n",
    ]
    for table, columns in sorted(tables.items()):
        rows = [
            f"| `{name}` | {_cell(kind)} | {_cell(comments.get(f'{table}.{name}', ''))} |"
            for name, kind in columns.items()
        ]
        about = comments.get(table, "")
        parts.append(
            f"### {table}\n\n{about}\n\n| column | type | |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
        )
    rows = [f"| `{_cell(name)}` | {_cell(about)} |" for name, about in sorted(functions.items())]
    parts.append("## Functions\n\n| function | |\n| --- | --- |\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def operations_page() -> str:
    """Every operation of `/api`, from the table that its router is made of."""
    with TemporaryDirectory() as place:
        platform = Platform(Home(Path(place)), {})
        document = openapi(all_operations(platform, reader=StatusReader(platform)), version=__version__)
        platform.state.close()
    schemas = document["components"]["schemas"]
    parts = [
        f"# Operations API\n\n{_MADE}"
        "What an operator does, over HTTP, for administrators (docs/how-to/operate-over-http.md). The same as\n"
        "OpenAPI 3.1: `/api/openapi.json`.\n"
    ]
    for path, methods in document["paths"].items():
        parts += [
            _operation(f"{method.upper()} /api{path}", operation, schemas) for method, operation in methods.items()
        ]
    parts.append("## Values\n")
    parts += [_value(name, schema) for name, schema in sorted(schemas.items()) if "properties" in schema]
    return "\n".join(parts)


def _operation(address: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    lines = [f"## {address}\n", operation["summary"] + "\n"]
    rows = [
        f"| `{it['name']}` | {it['in']} | {_type(it['schema'])} | {_cell(it.get('description', ''))} |"
        for it in operation["parameters"]
    ]
    if rows:
        lines.append("| parameter | in | | |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n")
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        lines.append(f"Body: {_type(schema)}. {schemas[_name(schema)].get('description', '')}\n")
    answers = [
        f"| {status} | {_type(it['content']['application/json']['schema'])} | {_cell(it['description'])} |"
        for status, it in operation["responses"].items()
    ]
    lines.append("| status | answer | |\n| --- | --- | --- |\n" + "\n".join(answers) + "\n")
    return "\n".join(lines)


def _value(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        f"| `{key}` | {_type(kind)} | {'' if key in required else 'may be left out'} |"
        for key, kind in schema["properties"].items()
    ]
    about = " ".join(schema.get("description", "").split())
    return f"### {name}\n\n{about}\n\n| key | | |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"


def _type(schema: dict[str, Any]) -> str:
    match schema:
        case {"$ref": _}:
            return f"`{_name(schema)}`"
        case {"anyOf": options}:
            return " or ".join(_type(option) for option in options)
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"format": kind} | {"type": kind}:
            return str(kind)
        case _:
            return "any value"


def _name(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


_FAULTS = Path(__file__).parents[1] / "tests" / "faults"
_FAULT = re.compile(r"Lost: (?P<lost>.+?)\.\s+Seen: (?P<seen>.+?)\.$", re.DOTALL)


def fault_cases() -> Iterator[tuple[str, str, str, str]]:
    """Each fault that is tried in `tests/faults`: what the file is about, the case, what is lost, what is seen.

    Raises `ValueError` naming the test that does not say it.
    """
    for path in sorted(_FAULTS.glob("test_*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        about = (ast.get_docstring(module) or "").splitlines()[0]
        for node in module.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                said = _FAULT.search(ast.get_docstring(node) or "")
                if said is None:
                    raise ValueError(f"{path.name}: {node.name} does not say what is lost and what is seen")
                case = node.name.removeprefix("test_").replace("_", " ")
                yield about, case, " ".join(said["lost"].split()), " ".join(said["seen"].split())


def faults_page() -> str:
    """What was broken on purpose, what that costs, and what the operator is told."""
    parts: dict[str, list[str]] = {}
    for about, case, lost, seen in fault_cases():
        cells = (text.replace("|", "\\|") for text in (case, lost, seen))
        parts.setdefault(about, []).append("| " + " | ".join(cells) + " |")
    return (
        f"# What happens when\n\n{_MADE}"
        "Each line is a fault that the tests really make (`tests/faults`), what is lost by it, and what the\n"
        "operator sees.\n"
        + "".join(
            f"\n## {about.removesuffix('.')}\n\n| fault | lost | seen |\n| --- | --- | --- |\n"
            + "\n".join(rows)
            + "\n"
            for about, rows in parts.items()
        )
    )


PAGES = {
    "faults.md": faults_page,
    "settings.md": settings_page,
    "commands.md": commands_page,
    "errors.md": errors_page,
    "operations-api.md": operations_page,
    "lint.md": lint_page,
    "sql.md": sql_page,
}


def write_all(directory: Path) -> None:
    """Write every page below `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        (directory / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    write_all(Path(__file__).parent / "reference")
