"""Packages that load a module when one of its names is first asked for: a command pays for what it uses."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module


def names_on_demand(package: str, names_of: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """The `__getattr__` (PEP 562) of a package, from the names that each of its modules gives.

    None of the names may be that of a module: once loaded, the module would be found in its place.
    """
    module_of = {name: module for module, names in names_of.items() for name in names}

    def get(name: str) -> object:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{module_of[name]}"), name)

    return get
