"""The operators of filters, by the syntax they have."""

import re

SIMPLE = frozenset({"neq", "cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj"})
"""`column=cs.value`."""
QUANTIFIED = frozenset({"eq", "gte", "gt", "lte", "lt", "like", "ilike", "match", "imatch"})
"""Also `column=eq(any).{1,2}`."""
FULL_TEXT = frozenset({"fts", "plfts", "phfts", "wfts"})
"""Also `column=fts(english).word`."""
IS_OPERANDS = {"null": "null", "not_null": "not null", "true": "true", "false": "false", "unknown": "unknown"}
"""What may follow `is.`, and its SQL: these are syntax and cannot be parameters."""

WITH_VALUE = (
    SIMPLE
    | QUANTIFIED
    | FULL_TEXT
    | {"in", "isdistinct"}
    | {f"{name}({quantifier})" for name in QUANTIFIED for quantifier in ("any", "all")}
)
"""All that have a value after their dot, but for full-text searches in a language."""

_IN_A_LANGUAGE = re.compile(r"(?:fts|plfts|phfts|wfts)\([A-Za-z0-9_$]+\)")


def takes_value(operator: str) -> bool:
    """Whether what follows the operator's dot is a value."""
    return operator in WITH_VALUE or _IN_A_LANGUAGE.fullmatch(operator) is not None
