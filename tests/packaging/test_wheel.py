"""The wheel in an environment of its own, outside the checkout."""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support import TINY, Twin

ROOT = Path(__file__).parents[2]
SOURCES = (
    *("gans_torch", "gans_jax", "shared", "parity_tests"),
    *("setup.py", "pyproject.toml", "README.md", "LICENSE"),
)


class Environment(NamedTuple):
    """A virtual environment that borrows our dependencies, but not our project."""

    folder: Path

    def run(self, program: str, *arguments: object, at: Path) -> str:
        """What a program of the environment says, called in the folder ``at``."""
        result = subprocess.run(
            [self.folder / "bin" / program, *map(str, arguments)],
            cwd=at,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def manage(self, *arguments: object) -> None:
        """Install or uninstall, with `uv pip`, which looks at nothing borrowed."""
        action, *rest = arguments
        python = ["--python", self.folder / "bin" / "python"]
        command = [sys.executable, "-m", "uv", "pip", action, *python, *rest]
        subprocess.run(list(map(str, command)), check=True)

    def install(self, wheel: Path) -> None:
        """Install one wheel alone."""
        self.manage("install", "--quiet", "--no-deps", "--offline", wheel)

    def files(self, package: str) -> set[str]:
        """Names below a package of the environment's own site-packages."""
        (folder,) = self.folder.glob(f"lib/*/site-packages/{package}")
        return {path.name for path in folder.rglob("*.py")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: building leaves files in its folder."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name)
        else:
            shutil.copy(source, copy / name)
    # Left by an earlier build.
    (copy / "build" / "lib" / "shared").mkdir(parents=True)
    (copy / "build" / "lib" / "shared" / "old.py").write_text("")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out)]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "."], cwd=copy, check=True
    )
    (built,) = out.iterdir()
    return built


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    folder = tmp_path / "environment"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True
    )
    (packages,) = folder.glob("lib/*/site-packages")
    # The files named *.pth in there, with our editable install, are not read.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return Environment(folder)


@pytest.fixture
def somewhere(tmp_path: Path) -> Path:
    """A user's folder, which has a `shared` of its own."""
    folder = tmp_path / "somewhere"
    (folder / "shared").mkdir(parents=True)
    (folder / "shared" / "__init__.py").write_text("raise RuntimeError('the user')\n")
    return folder


def _other_wheel(folder: Path) -> Path:
    """A distribution of somebody else's, with modules named like ours."""
    path = folder / "other-1.0-py3-none-any.whl"
    info = "other-1.0.dist-info"
    files = {
        "shared/__init__.py": "WHOSE = 'theirs'\n",
        "shared/errors.py": "WHOSE = 'theirs'\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def _imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


def test_what_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        sources = {n: archive.read(n).decode() for n in names if n.endswith(".py")}
        (top_level,) = [n for n in names if n.endswith("/top_level.txt")]
        assert "shared" not in archive.read(top_level).decode().split()
    folders = {n.partition("/")[0] for n in names if ".dist-info/" not in n}
    assert folders == {"gans_torch", "gans_jax", "gans_shared", "parity_tests"}
    for folder in folders:
        assert f"{folder}/py.typed" in names
    assert "gans_shared/report/templates/report.html" in names
    assert "gans_shared/old.py" not in names
    assert not [n for n in names if "test_" in n or "conftest" in n]
    roots = {name: set(_imported(text)) for name, text in sources.items()}
    assert {n for n, imported in roots.items() if "shared" in imported} == set()
    assert {n for n, text in sources.items() if '"shared' in text} == set()
    assert "gans_shared" in roots["gans_torch/train.py"]


def test_the_checkout_has_nothing_else(wheel: Path) -> None:
    """No package, module or template was left out."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {n for n in archive.namelist() if ".dist-info/" not in n}
    ours = {
        path.relative_to(ROOT).as_posix()
        for name in SOURCES[:4]
        for path in (ROOT / name).rglob("*")
        if path.is_file()
        and path.suffix != ".pyc"
        and not path.name.startswith(("conftest", "test_"))
    }
    here = {name.replace("gans_shared/", "shared/", 1) for name in packed}
    assert here == ours


@pytest.mark.parametrize("removed", ["other", "gans-twins"])
def test_another_shared_beside_ours(
    removed: str, wheel: Path, environment: Environment, tmp_path: Path
) -> None:
    wheels = [_other_wheel(tmp_path), wheel]
    if removed == "other":
        wheels.reverse()
    for one in wheels:
        environment.install(one)
    assert environment.files("shared") == {"__init__.py", "errors.py"}
    ours = "from gans_torch import train, _own_shared; import gans_jax.train"
    theirs = "from shared import WHOSE, errors; assert WHOSE == errors.WHOSE"
    environment.run("python", "-c", f"{ours}\n{theirs}", at=tmp_path)
    environment.manage("uninstall", "--quiet", removed)
    left, gone = (ours, theirs) if removed == "other" else (theirs, ours)
    environment.run("python", "-c", left, at=tmp_path)
    with pytest.raises(AssertionError, match="ModuleNotFoundError"):
        environment.run("python", "-c", gone, at=tmp_path)


def test_a_twin_trains_beside_the_users_own_shared(
    twin: Twin, wheel: Path, environment: Environment, somewhere: Path
) -> None:
    environment.install(wheel)
    package = f"gans_{twin.name}"
    run = somewhere / "run"
    environment.run(
        "python", "-m", f"{package}.train", *TINY, "--run-dir", run, at=somewhere
    )
    assert (run / "samples.png").is_file()
    script = f"gans-{twin.name}"
    environment.run(script, "sample", run, "--out", "drawn.png", at=somewhere)
    assert (somewhere / "drawn.png").is_file()
    assert "run" in environment.run(script, "compare", run, at=somewhere)
    library = (
        f"import {package} as twin; images = twin.load_generator('run').sample(4);"
        "print(twin.__file__, twin.__version__, *images.shape)"
    )
    said = environment.run("python", "-c", library, at=somewhere)
    file, version, *shape = said.split()
    assert shape == ["4", "16", "16", "1"]
    assert Path(file).is_relative_to(environment.folder)
    assert version in wheel.name


@pytest.mark.needs("torch")
@pytest.mark.needs("jax")
def test_the_certificate_of_the_wheel(
    wheel: Path, environment: Environment, somewhere: Path
) -> None:
    environment.install(wheel)
    said = environment.run(
        *("python", "-m", "parity_tests", "--only", "*loss/hinge*"), at=somewhere
    )
    assert "comparisons hold" in said
