"""Defaults, then the environment's preset, the file, `WEDSYNC_…` variables and flags: the last one wins."""

import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast, get_args

import msgspec

from wedsync.config.check import check
from wedsync.config.home import Home
from wedsync.config.model import PRESETS, Config, Environment
from wedsync.errors import ConfigProblem

PREFIX = "WEDSYNC_"
_NOT_SETTINGS = {"WEDSYNC_HOME", "WEDSYNC_DB_URL"}
_UNITS_S = {"ms": 0.001, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_FALSE = {"false", "0", "no"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)\s*")
_PASSWORD_OF_URL = re.compile(r"(://[^\s/:@]*:)\S*@")
_PASSWORD_WORD = re.compile(r"(password\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&]+)")
_NAME_OF_SECRET = re.compile(r"(secret|pass|passphrase|password|token|key)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One value and where it came from: `default`, `environment production`, the file, a variable, a flag."""

    name: str
    value: object
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """The configuration, with the origin of every value."""

    config: Config
    settings: tuple[Setting, ...]


def load_config(
    home: Home, environment: Mapping[str, str], *, flags: Mapping[str, object] | None = None
) -> LoadedConfig:
    """Read the configuration of a home; a missing file means defaults.

    `environment` is the process's (`os.environ`), `flags` are dotted names given on the command line.
    Raises `ConfigProblem` that names the setting and its origin.
    """
    known = dict(_leaves(Config, ""))
    given: dict[str, tuple[object, str]] = {}
    for name, value in _from_file(home, known):
        given[name] = (value, home.config_file.name)
    for variable, text in environment.items():
        if variable.startswith(PREFIX) and variable not in _NOT_SETTINGS:
            name = _setting_of(variable, text, known)
            given[name] = (_from_text(text, known[name]) if name in known else None, variable)
    for name, value in (flags or {}).items():
        given[name] = (value, "command line")

    chosen = given.get("environment", (Environment.PRODUCTION, "default"))
    if chosen[0] not in set(Environment):
        raise ConfigProblem(
            f"unknown environment {chosen[0]!r}",
            detail=f"from {chosen[1]}",
            hint="one of: " + ", ".join(Environment),
        )
    preset = Environment(str(chosen[0]))
    layered: dict[str, tuple[object, str]] = {
        name: (value, f"environment {preset}") for name, value in PRESETS[preset].items()
    } | given

    config = _convert(layered, known)
    check(config, lambda name: layered[name][1] if name in layered else "the defaults")
    values = dict(_values(config, ""))
    return LoadedConfig(
        config=config,
        settings=tuple(
            Setting(name=name, value=value, origin=layered[name][1] if name in layered else "default")
            for name, value in values.items()
        ),
    )


def parse_duration(text: str) -> timedelta:
    """A duration such as `90s`, `1h 30min`, `30d`; `ValueError` for anything else."""
    position = 0
    total_s = 0.0
    stripped = text.strip()
    while position < len(stripped):
        match = _DURATION.match(stripped, position)
        if match is None:
            raise ValueError(f"{text!r} is no duration; write it like 90s, 15min, 1h, 30d or 52w")
        total_s += float(match[1]) * _UNITS_S[match[2]]
        position = match.end()
    if not stripped:
        raise ValueError("a duration is empty; write it like 90s, 15min, 1h, 30d or 52w")
    try:
        return timedelta(seconds=total_s)
    except OverflowError:
        raise ValueError(f"{text!r} is too long a duration") from None


def format_duration(duration: timedelta) -> str:
    """The shortest spelling that `parse_duration` reads back to the same value."""
    total_ms = round(duration.total_seconds() * 1000)
    parts: list[str] = []
    for unit, size_ms in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)):
        count, total_ms = divmod(total_ms, size_ms)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def format_value(value: object) -> str:
    """A setting's value as one would write it in the file; a password in a DSN is not shown."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case timedelta():
            return format_duration(value)
        case dict():
            items = cast("dict[str, str]", value).items()
            return ", ".join(f"{key} = {_item(key, item)}" for key, item in items) or "none"
        case str():
            return _PASSWORD_OF_URL.sub(r"\1***@", _PASSWORD_WORD.sub(r"\1***", value))
        case _:
            return str(value)


def _item(name: str, text: str) -> str:
    """One entry of a table, its value hidden where the name says that it is a secret."""
    if _NAME_OF_SECRET.search(name) and not text.startswith("@"):
        return "***"
    return format_value(text)


def _leaves(section: type[msgspec.Struct], prefix: str) -> Iterator[tuple[str, Any]]:
    """Dotted name and type of every setting."""
    hints = typing.get_type_hints(section)
    for item in msgspec.structs.fields(section):
        kind = hints[item.name]
        inner = _section_in(kind)
        if inner is None:
            yield prefix + item.name, kind
        else:
            yield from _leaves(inner, f"{prefix}{item.name}.")


def _section_in(kind: Any) -> type[msgspec.Struct] | None:
    options = get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    for option in options:
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return option
    return None


def _values(section: msgspec.Struct, prefix: str) -> Iterator[tuple[str, object]]:
    for item in msgspec.structs.fields(section):
        value = getattr(section, item.name)
        if isinstance(value, msgspec.Struct):
            yield from _values(value, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, value


def _from_file(home: Home, known: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    try:
        text = home.config_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigProblem(f"cannot read {home.config_file}", detail=str(error)) from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigProblem(f"{home.config_file} is not TOML", detail=str(error)) from error
    yield from _flatten(tree, "", known, home)


def _flatten(
    tree: Mapping[str, object], prefix: str, known: Mapping[str, Any], home: Home
) -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        name = prefix + key
        if name in known:
            yield name, value
        elif isinstance(value, dict) and any(other.startswith(name + ".") for other in known):
            yield from _flatten(typing.cast("dict[str, object]", value), name + ".", known, home)
        elif value is False and any(other.startswith(name + ".") for other in known):
            yield name, None  # `repo2 = false` says: there is none
        else:
            raise ConfigProblem(
                f"unknown setting {name!r} in {home.config_file}",
                hint="wedsync config show lists every setting",
            )


def _setting_of(variable: str, text: str, known: Mapping[str, Any]) -> str:
    """The setting that a variable names, or the section that its text switches off."""
    name = variable.removeprefix(PREFIX).lower().replace("__", ".")
    switches_off = text.lower() in _FALSE and any(other.startswith(name + ".") for other in known)
    if name not in known and not switches_off:
        raise ConfigProblem(
            f"unknown setting {name!r}",
            detail=f"from the environment variable {variable}",
            hint="sections are separated by two underscores: WEDSYNC_DATABASE__POOL__MAX_SIZE",
        )
    return name


def _from_text(text: str, kind: Any) -> object:
    """A variable's text as the value the setting wants; durations stay text and are read later."""
    options = get_args(kind) or (kind,)
    if bool in options:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
            text.lower(), text
        )
    for number in (int, float):
        if number in options:
            try:
                return number(text)
            except ValueError:
                return text
    return text


def _convert(layered: Mapping[str, tuple[object, str]], known: Mapping[str, Any]) -> Config:
    tree: dict[str, Any] = {}
    for name, (given, origin) in layered.items():
        value = given
        *sections, last = name.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
            if branch is None:
                raise ConfigProblem(
                    f"setting {name} belongs to a section that is switched off",
                    detail=f"{name} is from {origin}",
                    hint=f"take away {name.rpartition('.')[0]} = false, or this setting",
                )
        kind = known.get(name)
        if isinstance(value, str) and timedelta in (get_args(kind) or (kind,)):
            try:
                value = None if value == "never" else parse_duration(value)
            except ValueError as error:
                raise ConfigProblem(f"setting {name}: {error}", detail=f"from {origin}") from error
        branch[last] = value
    try:
        return msgspec.convert(_with_defaults(tree), Config)
    except msgspec.ValidationError as error:
        at = str(error).partition("$.")[2].rstrip("`")
        origin = layered[at][1] if at in layered else "the configuration"
        raise ConfigProblem(
            f"setting {at or '?'}: {str(error).partition(' - at')[0]}", detail=f"from {origin}"
        ) from error


def _with_defaults(tree: dict[str, Any]) -> dict[str, Any]:
    """`repo1` and `repo2` have defaults of their own: what is given is laid over those."""
    backup = tree.get("backup", {})
    for repo in ("repo1", "repo2"):
        default = getattr(Config().backup, repo)
        if isinstance(backup.get(repo), dict):
            backup[repo] = msgspec.structs.asdict(default) | backup[repo]
    return tree
