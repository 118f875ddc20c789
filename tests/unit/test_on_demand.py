"""Packages whose modules are loaded when they are asked for."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.mark.parametrize("package", ["wedsync.app", "wedsync.migrations", "wedsync.tenants"])
def test_a_package_gives_every_name_it_promises_and_no_module_in_its_place(package: str) -> None:
    module = import_module(package)
    for name in module.__all__:
        assert getattr(getattr(module, name), "__name__", name) == name
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


def test_the_state_of_migrations_is_told_without_loading_backups_shadows_and_tenants() -> None:
    asked = "from wedsync.app import Platform; from wedsync.migrations import status, up"
    script = f"import sys; {asked}; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True
    )
    unwanted = {
        "wedsync.backup",
        "wedsync.migrations.shadow.dry_run",
        "wedsync.monitoring",
        "wedsync.recovery",
        "wedsync.tenants",
    }
    assert set(told.stdout.split()) & unwanted == set()
