"""Packages that import what they offer when it is asked for."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def front_door(
    package: str,
    homes: Mapping[str, Sequence[str]],
    modules: Sequence[str] = (),
    before: Callable[[], object] = lambda: None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its name.
        homes: which names it offers, by the modules that hold them.
        modules: of its own, those that it offers whole.
        before: called before anything is imported.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name not in modules and name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        before()
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        return getattr(importlib.import_module(home_of[name]), name)

    def names() -> list[str]:
        # What Python itself looks for, and no import of ours.
        own = vars(importlib.import_module(package))
        dunders = (name for name in own if name.startswith("__"))
        return sorted({*home_of, *modules, *dunders})

    return get, names
