"""The reference pages are written from the code; here they are held against it."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from wedsync import errors

_DOCS = Path(__file__).parents[2] / "docs"


def _pages() -> dict[str, Callable[[], str]]:
    spec = importlib.util.spec_from_file_location("generate", _DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.PAGES


@pytest.mark.parametrize(
    "name", ["settings.md", "commands.md", "errors.md", "faults.md", "operations-api.md", "lint.md", "sql.md"]
)
def test_a_reference_page_says_what_the_code_says(name: str) -> None:
    assert (_DOCS / "reference" / name).read_text() == _pages()[name](), "run docs/generate.py"


def test_no_two_errors_share_a_code() -> None:
    classes = [
        item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, errors.WedsyncError)
    ]
    codes = [item.code for item in classes]
    assert len(classes) > 20
    assert len(codes) == len(set(codes))
