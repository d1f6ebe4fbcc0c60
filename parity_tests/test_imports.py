"""The walls: `shared` knows neither framework, and no twin knows the other."""

import ast
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TORCH = {"torch", "torchvision", "gans_torch"}
JAX = {"jax", "jaxlib", "flax", "optax", "gans_jax"}
PROOF = {"parity_tests", "tests", "pytest"}
FORBIDDEN = {
    "shared": TORCH | JAX | PROOF,
    "gans_torch": JAX | PROOF,
    "gans_jax": TORCH | PROOF,
}
# torchvision fetches data sets for both twins, and only when it is asked to.
LAZY = {("shared/data/image_sources.py", "torchvision")}


def _modules(package: str) -> list[str]:
    found = pkgutil.walk_packages([str(ROOT / package)], f"{package}.")
    return [package, *(module.name for module in found)]


def _loaded_after(statements: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after the statements."""
    code = f"import sys, json\n{statements}\njson.dump(list(sys.modules), sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in json.loads(result.stderr)}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_importing_everything_loads_nothing_forbidden(package: str) -> None:
    modules = _modules(package)
    assert len(modules) > 8
    loaded = _loaded_after("\n".join(f"import {name}" for name in modules))
    assert package in loaded
    assert loaded & FORBIDDEN[package] == set()


@pytest.mark.parametrize("twin", ["gans_torch", "gans_jax"])
@pytest.mark.parametrize("command", ["train", "sample"])
def test_help_needs_no_framework(twin: str, command: str) -> None:
    loaded = _loaded_after(
        f"from {twin}.{command} import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as done: assert done.code == 0"
    )
    heavy = (TORCH | JAX | {"matplotlib", "sklearn"}) - {twin}
    assert twin in loaded
    assert loaded & heavy == set()


def _imports(source: str) -> Iterator[str]:
    """Top-level packages that a source imports anywhere, within functions too."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case ast.Call(
                func=ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module.partition(".")[0]


def _trespasses(package: str, name: str, source: str) -> set[str]:
    forbidden = set(_imports(source)) & FORBIDDEN[package]
    return {module for module in forbidden if (name, module) not in LAZY}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_function_imports_what_is_forbidden(package: str) -> None:
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        found[name] = _trespasses(package, name, path.read_text())
    assert len(found) > 8
    assert {name: modules for name, modules in found.items() if modules} == {}


def test_what_is_permitted_is_there() -> None:
    for name, module in LAZY:
        assert module in set(_imports((ROOT / name).read_text()))


@pytest.mark.parametrize(
    "source",
    [
        "import jax",
        "import jax.numpy as jnp",
        "from jax import Array",
        "from jax.numpy import sum",
        "import os, jax",
        "def f():\n    import jax",
        "class A:\n    def f(self):\n        from jax import jit",
        "import importlib\njax = importlib.import_module('jax.numpy')",
    ],
)
def test_a_trespass_is_noticed(source: str) -> None:
    assert _trespasses("gans_torch", "toy.py", source) == {"jax"}
    assert _trespasses("gans_torch", "toy.py", source.replace("jax", "numpy")) == set()


def test_a_trespass_at_run_time_is_noticed() -> None:
    assert "optax" in _loaded_after("import optax") & FORBIDDEN["gans_torch"]
