"""Where in a token's claims the role is: `.role`, `.app."https://x".roles[0]`, `.roles[?(@ ^== "w")]`."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from wedsync.errors import ConfigProblem

_STEP = re.compile(
    r"""\.(?P<key>[A-Za-z0-9_$@-]+)
      | \."(?P<quoted>[^"]+)"
      | \[(?P<index>\d+)\]
      | \[\?\(@\s*(?P<operator>==\^|\^==|\*==|!=|==)\s*"(?P<operand>[^"]*)"\s*\)\]""",
    re.VERBOSE,
)
_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "==": lambda value, operand: value == operand,
    "!=": lambda value, operand: value != operand,
    "^==": lambda value, operand: value.startswith(operand),
    "==^": lambda value, operand: value.endswith(operand),
    "*==": lambda value, operand: operand in value,
}


@dataclass(frozen=True, slots=True)
class _Match:
    operator: str
    operand: str


class ClaimPath:
    """A path into the claims, read once."""

    def __init__(self, text: str) -> None:
        """Raises `ConfigProblem` for a path that cannot be read."""
        steps: list[str | int | _Match] = []
        at = 0
        while at < len(text):
            step = _STEP.match(text, at)
            if step is None:
                break
            if step["index"] is not None:
                steps.append(int(step["index"]))
            elif step["operator"] is not None:
                steps.append(_Match(step["operator"], step["operand"]))
            else:
                steps.append(step["key"] or step["quoted"])
            at = step.end()
        if at != len(text) or not steps:
            raise ConfigProblem(
                f"the path of the role in the claims cannot be read: {text!r}",
                detail=f"at character {at + 1}",
                hint='write it like .role, .app_metadata.role or ."https://example.com".roles[0]',
            )
        self._steps = tuple(steps)

    def find(self, claims: Mapping[str, object]) -> object | None:
        """What stands there; `None` if nothing does."""
        value: object = claims
        for step in self._steps:
            value = _walk(value, step)
            if value is None:
                return None
        return value


def _walk(value: object, step: str | int | _Match) -> object | None:
    match step:
        case str():
            return cast("Mapping[str, object]", value).get(step) if isinstance(value, dict) else None
        case int():
            items = cast("Sequence[object]", value) if isinstance(value, list) else ()
            return items[step] if step < len(items) else None
        case _Match(operator, operand):
            items = cast("Sequence[object]", value) if isinstance(value, list) else ()
            compare = _COMPARE[operator]
            return next((item for item in items if isinstance(item, str) and compare(item, operand)), None)
