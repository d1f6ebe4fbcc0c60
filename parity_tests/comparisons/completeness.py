"""Completeness: every public function and class of the twins is in some comparison."""

import importlib
import inspect
import pkgutil
from types import ModuleType

import gans_jax
import gans_torch
from parity_tests.certificate.registry import CHECKS, Finding, check


@check("fact/completeness", kind="fact")
def _completeness() -> list[Finding]:
    """What no comparison of the short certificate names."""
    covers = {
        name
        for check in CHECKS.values()
        if not check.full_only
        for name in check.covers
    }
    result = []
    for twin in (gans_torch, gans_jax):
        missing = uncovered(twin, covers)
        aspect = f"public names of {twin.__name__} in no comparison"
        result.append(
            Finding(aspect, float(len(missing)), "exact", note=", ".join(missing))
        )
    return result


def _modules(twin: ModuleType) -> dict[str, ModuleType]:
    """A twin's public modules, by name; command lines are not there to be proven."""
    found = pkgutil.walk_packages(twin.__path__, f"{twin.__name__}.")
    names = [module.name.partition(".")[2] for module in found]
    modules = {
        name: importlib.import_module(f"{twin.__name__}.{name}")
        for name in names
        if not name.startswith("_")
    }
    return {name: x for name, x in modules.items() if not hasattr(x, "PROG")}


def _public(module: ModuleType) -> dict[str, object]:
    """Functions and classes that a module exports, or else defines, for the public."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_")
            and getattr(value, "__module__", "") == module.__name__
        ]
    members = {name: getattr(module, name) for name in names}
    return {
        name: value
        for name, value in members.items()
        if inspect.isclass(value) or inspect.isfunction(value)
    }


def resolve(twin: ModuleType, name: str) -> object | None:
    """``losses.softplus`` of a twin, for example; None where there is no such thing."""
    path, _, attribute = name.rpartition(".")
    module = _modules(twin).get(path)
    return getattr(module, attribute, None)


def uncovered(twin: ModuleType, covers: set[str]) -> list[str]:
    """Public functions and classes of a twin that are not among ``covers``."""
    covered = {id(resolve(twin, name)) for name in covers}
    return [
        f"{path}.{name}"
        for path, module in _modules(twin).items()
        for name, value in _public(module).items()
        if id(value) not in covered
    ]
