"""The walls: `shared` knows neither framework, and no twin knows the other.

Within `shared` each floor knows only those below it, and no module is imported late
without a reason.
"""

import ast
import functools
import graphlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

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
# What `shared` is made of, folders and modules, from the ground up.
FLOORS = (
    *("lazy", "errors", "words", "terminal", "quantities", "sizes", "config", "files"),
    *("plugins", "statements", "resampling", "randomness", "data", "backend"),
    *("diagnosis", "drawing", "run", "evaluation", "export", "report", "training"),
    *("library", "commands"),
)
# What is imported within a function, and why it may be.
LATE = {
    (
        "shared.training.journal",
        "shared.training.event_files",
    ): "tensorboard is optional",
    ("shared.commands.command_line", "shared.run.outputs"): "help needs no NumPy",
    ("shared.commands.command_line", "shared.run.run_dir"): "help needs no NumPy",
    ("shared.commands.command_line", "shared.run.settings"): "help needs no NumPy",
    ("shared.commands.command_line", "shared.run.unfinished"): "help needs no NumPy",
    ("shared.run.run_dir", "shared.drawing.images"): "a refusal needs no Pillow",
    ("shared.run.run_dir", "shared.drawing.plots"): "a refusal needs no NumPy",
}
# Of the proof's rooms, what needs one framework, and so not the other; what needs both,
# as the comparisons do. The rest needs none.
PROOF_WITH_ONE = {"torch_side": JAX, "local_norms": JAX, "jax_side": TORCH}
PROOF_WITH_BOTH = {"architecture", "modules", "trajectories"}
# What a help text and a refusal need not wait for.
HEAVY = {"numpy", "PIL", "matplotlib", "scipy", "sklearn", "jinja2", "safetensors"}
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
@pytest.mark.parametrize(
    ("command", "words"),
    [
        *((name, ["--help"]) for name in ("train", "sample", "evaluate", "compare")),
        ("export", ["--help"]),
        ("export", ["RUN", "--format", "pickle"]),
        ("__main__", ["--help"]),
        ("__main__", ["completion", "bash"]),
        ("data.__main__", ["--help"]),
        ("train", ["--steps", "x"]),
        ("train", ["dcgam"]),
        ("sample", []),
    ],
)
def test_help_and_refusals_take_a_moment(
    twin: str, command: str, words: list[str]
) -> None:
    loaded = _loaded_after(
        f"from {twin}.{command} import main\n"
        "sys.stderr, kept = open('/dev/null', 'w'), sys.stderr\n"
        f"try: main({words})\n"
        "except SystemExit: pass\n"
        "sys.stderr = kept"
    )
    assert twin in loaded
    assert loaded & ((TORCH | JAX | HEAVY) - {twin}) == set()


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


def _without(packages: set[str], modules: Iterable[str]) -> str:
    """What goes wrong when modules are imported where packages are not installed."""
    blocked = {name for name in packages if not name.startswith("gans_")}
    code = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {blocked!r}:\n"
        "            raise ModuleNotFoundError(f'{name} is not installed')\n"
        "sys.meta_path.insert(0, Blocked())\n"
    )
    code += "\n".join(f"import {module}" for module in modules)
    command = [sys.executable, "-W", "ignore", "-c", code]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return result.stderr


def test_tests_can_be_collected_where_a_twin_is_not_installed() -> None:
    # `GANS_TWINS` leaves out tests of modules that have been imported by then.
    modules: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            match node:
                case ast.Import(names=names):
                    modules.update(alias.name for alias in names)
                case ast.ImportFrom(module=str(module), level=0):
                    modules.add(module)
    own = {path.stem for path in (ROOT / "tests").glob("*.py")} | {"faults", "fuzz"}
    modules = {name for name in modules if name.partition(".")[0] not in own}
    assert {"gans_jax._elsewhere.target", "benchmarks.flops"} < modules
    assert _without(TORCH | JAX, sorted(modules)) == ""


def test_most_of_the_harness_needs_no_framework() -> None:
    rooms = ("parity_tests.certificate.", "parity_tests.harness.")
    inside = {module for module in _modules("parity_tests") if module.startswith(rooms)}
    others = {
        f"parity_tests.harness.{x}" for x in PROOF_WITH_ONE.keys() | PROOF_WITH_BOTH
    }
    assert others < inside
    free = ["parity_tests", "parity_tests.__main__", *sorted(inside - others)]
    assert "parity_tests.harness.oracle" in free
    assert _without(TORCH | JAX, free) == ""


@pytest.mark.parametrize("side", PROOF_WITH_ONE)
def test_a_side_of_a_comparison_needs_its_own_framework_alone(side: str) -> None:
    module = f"parity_tests.harness.{side}"
    assert _without(PROOF_WITH_ONE[side], [module]) == ""
    own = TORCH if PROOF_WITH_ONE[side] is JAX else JAX
    assert "is not installed" in _without(own, [module])


class _Import(NamedTuple):
    """One module of `shared` imports another."""

    importer: str
    imported: str
    late: bool
    """Whether it does so within a function."""


def _within_shared(modules: Mapping[str, str]) -> Iterator[_Import]:
    """The imports among modules, given their sources by name."""
    for importer, source in modules.items():
        tree = ast.parse(source)
        functions = [x for x in ast.walk(tree) if isinstance(x, ast.FunctionDef)]
        late = {id(inner) for function in functions for inner in ast.walk(function)}
        for node in ast.walk(tree):
            match node:
                case ast.Import(names=names):
                    found = [alias.name for alias in names]
                case ast.ImportFrom(module=str(package), names=names):
                    found = [f"{package}.{alias.name}" for alias in names]
                    found = [x if x in modules else package for x in found]
                case _:
                    continue
            for imported in dict.fromkeys(found):
                if imported in modules and imported != "shared":
                    yield _Import(importer, imported, id(node) in late)


def _floor(module: str) -> int:
    return FLOORS.index(module.split(".")[1])


def _faults(modules: Mapping[str, str]) -> list[str]:
    """What an architect would object to."""
    imports = list(_within_shared(modules))
    faults = [
        f"{x.importer} imports {x.imported}, which is above it"
        for x in imports
        if _floor(x.imported) > _floor(x.importer)
    ]
    faults += [
        f"{x.importer} imports {x.imported} within a function"
        for x in imports
        if x.late and (x.importer, x.imported) not in LATE
    ]
    needs: dict[str, set[str]] = {module: set() for module in modules}
    for x in imports:
        needs[x.importer].add(x.imported)
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        faults.append(f"a circle: {' -> '.join(error.args[1])}")
    return faults


@functools.cache
def _shared() -> dict[str, str]:
    """The sources of `shared`, by module."""
    paths = sorted((ROOT / "shared").rglob("*.py"))
    parts = {path: path.relative_to(ROOT).with_suffix("").parts for path in paths}
    sources = {".".join(x).removesuffix(".__init__"): p for p, x in parts.items()}
    del sources["shared"]
    return {module: path.read_text() for module, path in sources.items()}


def test_each_floor_stands_on_those_below_it() -> None:
    assert len(_shared()) > 50
    assert _faults(_shared()) == []


def test_every_floor_and_every_late_import_is_there() -> None:
    assert {module.split(".")[1] for module in _shared()} == set(FLOORS)
    late = {(x.importer, x.imported) for x in _within_shared(_shared()) if x.late}
    assert late == LATE.keys()


# Three floors, to see that faults are noticed.
TOY = {
    "shared.errors": "import sys",
    "shared.run.run_dir": "from shared.errors import UsageError",
    "shared.report.page": "import shared.errors",
    "shared.report.comparison": "from shared.report import page",
}


@pytest.mark.parametrize(
    ("module", "statement", "fault"),
    [
        ("shared.run.run_dir", "from shared.report import page", "which is above it"),
        ("shared.run.run_dir", "import sys, shared.report.page", "which is above it"),
        ("shared.report.page", "from shared.report import comparison", "a circle"),
        (
            "shared.report.page",
            "def f():\n    from shared.errors import UsageError",
            "within a function",
        ),
        (
            "shared.report.page",
            "if TYPE_CHECKING:\n    from shared.report.comparison import Run",
            "a circle",
        ),
    ],
)
def test_a_fault_is_noticed(module: str, statement: str, fault: str) -> None:
    assert _faults(TOY) == []
    (found,) = _faults(TOY | {module: statement})
    assert fault in found
