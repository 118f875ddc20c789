"""The log: JSON lines in a bounded file for services, readable lines on a terminal, secrets masked in both.

Lines of other libraries, which use the standard library's `logging`, take the same way.
"""

import json as json_module
import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from wedsync.events import EVENT_VALUES

if TYPE_CHECKING:
    from structlog.typing import Processor

FILE_BYTES = 5_000_000
OLDER_FILES = 2
"""A service keeps its newest file and so many older ones: 15 MB each, 45 MB for three services."""
_LONGEST_VALUE = 10_000
_MASK = "***"

_SECRET_NAME = re.compile(
    r"(^|[_\-.])(password|passwd|passphrase|pass|secret|key|token|authorization|cookie|credential)s?($|[_\-.])",
    re.IGNORECASE,
)
_SECRET_IN_TEXT = (
    # postgresql://user:password@host; an unescaped @ or / belongs to the password too
    (re.compile(r"(://[^\s/:@]*:)\S*@"), rf"\1{_MASK}@"),
    # …?token=abc&…, and libpq's password=abc or password='a b'
    (
        re.compile(
            r"\b((?:pg)?password|passphrase|secret|api_?key|access_token|token|cipher-pass)(\s*=\s*)"
            r"('(?:[^'\\]|\\.)*'|[^\s&'\"]+)",
            re.IGNORECASE,
        ),
        rf"\1\2{_MASK}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=\-]{8,}", re.IGNORECASE), rf"\1 {_MASK}"),
)


def configure_logging(
    *, stream: TextIO | None = None, file: Path | None = None, json: bool = False, level: str = "info"
) -> None:
    """Send this process's log to `file` or else to `stream` (standard error if neither is given).

    A file is private (0600) and always in JSON; a full one is put aside and the oldest removed. May be called
    again: the last call counts.
    """
    import structlog  # noqa: PLC0415 - 0.1 s that only services should pay

    handler: logging.Handler
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler = PrivateRotatingFile(file, maxBytes=FILE_BYTES, backupCount=OLDER_FILES, encoding="utf-8")
    else:
        handler = logging.StreamHandler(stream or sys.stderr)
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _event_values,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, mask_secrets]
    if json or file is not None:
        last.append(structlog.processors.JSONRenderer(serializer=_as_json))
    else:
        terminal = bool(getattr(handler, "stream", None)) and cast("Any", handler).stream.isatty()
        last.append(
            structlog.dev.ConsoleRenderer(
                colors=terminal,
                pad_event_to=0,
                timestamp_key="at",
                exception_formatter=structlog.dev.plain_traceback,  # the pretty one shows local variables
            )
        )
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=first, processors=last))

    _install(handler, level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *first,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a later call of this function has to reach every logger
    )


def log_to_terminal(level: str = "warning") -> None:
    """Send the log of a command, which is short, to standard error in words; without structlog."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Words())
    _install(handler, level)


class _Words(logging.Formatter):
    """`warning: backup_removed repo=1 label=…`, secrets masked."""

    def format(self, record: logging.LogRecord) -> str:
        values = _masked(None, getattr(record, EVENT_VALUES, {}))
        pairs = "".join(f" {name}={value}" for name, value in cast("dict[str, object]", values).items())
        return f"{record.levelname.lower()}: {mask_text(record.getMessage())}{pairs}"


def _install(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())


def _event_values(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the values of an event to its line."""
    line.update(getattr(line.get("_record"), EVENT_VALUES, {}))
    return line


class PrivateRotatingFile(RotatingFileHandler):
    """A rotating log file that only its owner may read, also after each rotation."""

    def _open(self) -> Any:
        handle = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return os.fdopen(handle, self.mode, encoding=self.encoding, errors="backslashreplace")


def mask_secrets(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask passwords in URLs and the values of keys that are named like secrets; cut what is very long."""
    return {name: _masked(name, value) for name, value in line.items()}


def mask_text(text: str) -> str:
    """The text without the passwords and tokens that can be told by their form."""
    for pattern, replacement in _SECRET_IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _masked(name: object, value: object, depth: int = 0) -> object:
    if isinstance(name, str) and _SECRET_NAME.search(name) and value is not None and value != "":
        return _MASK
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return _cut(mask_text(value))
        case Mapping() if depth < 8:
            pairs = cast("Mapping[object, object]", value)
            return {str(key): _masked(key, inner, depth + 1) for key, inner in pairs.items()}
        case list() | tuple() | set() | frozenset() if depth < 8:
            return [_masked(None, inner, depth + 1) for inner in cast("Sequence[object]", value)]
        case _:
            return _cut(mask_text(str(value)))


def _cut(text: str) -> str:
    """Masked first, cut then: half an URL would not be recognised."""
    if len(text) <= _LONGEST_VALUE:
        return text
    return f"{text[:_LONGEST_VALUE]}… ({len(text)} characters)"


def _as_json(line: object, **_: object) -> str:
    return json_module.dumps(line, ensure_ascii=False)
