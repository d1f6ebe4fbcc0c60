"""Annotations of shapes, checked while code runs; and the choice of twins."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import Twin

# Everywhere, the checks would make all tests a fifth slower.
_CHECKED = "--jaxtyping-packages=gans_torch,gans_jax,beartype.beartype"


def _run_checked(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", _CHECKED, *words],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.needs("torch")
@pytest.mark.needs("jax")
def test_annotated_shapes_hold() -> None:
    """In steps of every kind, and in the networks that these leave out."""
    compared = "parity_tests/test_certificate.py::test_twins_agree"
    what = "first and steps or biggan and generator or r3gan and known"
    result = _run_checked(compared, "-k", what)
    assert result.returncode == 0, result.stdout


def test_a_shape_that_is_not_as_annotated_is_found(twin: Twin, tmp_path: Path) -> None:
    numbers = {"torch": "torch.zeros", "jax": "jax.numpy.zeros"}[twin.name]
    test = tmp_path / "test_it.py"
    test.write_text(
        f"import {numbers.partition('.')[0]}\nfrom gans_{twin.name} import losses\n"
        "def test_column():\n"
        f"    x = {numbers}(3)\n"
        "    assert losses.non_saturating_discriminator_loss(x, x) > 1.3\n"
        "    losses.non_saturating_discriminator_loss(x[:, None], x)\n"
    )
    result = _run_checked(str(test), "-c", "pyproject.toml")
    assert result.returncode == 1
    assert "TypeCheckError" in result.stdout


@pytest.mark.parametrize("names", ["", "tensorflow", "torch,", "torch, jax"])
def test_a_misspelt_choice_of_twins_is_refused(names: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", __file__],
        env=os.environ | {"GANS_TWINS": names},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"GANS_TWINS={names}: must be torch, jax or torch,jax" in result.stderr


_TORCH, _JAX = pytest.mark.needs("torch"), pytest.mark.needs("jax")


@pytest.mark.parametrize(
    ("names", "left_out"),
    [
        pytest.param("torch", ["jax"], marks=_TORCH),
        pytest.param("jax", ["torch"], marks=_JAX),
        pytest.param("torch,jax", [], marks=[_TORCH, _JAX]),
    ],
)
def test_only_twins_that_are_not_chosen_are_left_out(
    names: str, left_out: list[str], tmp_path: Path
) -> None:
    tests = Path(__file__).parent
    for name in ("compiled.py", "conftest.py", "messages.py", "support.py"):
        (tmp_path / name).write_text((tests / name).read_text())
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "@pytest.mark.needs('torch')\ndef test_torch(): pass\n"
        "@pytest.mark.needs('jax')\ndef test_jax(): pass\n"
        "def test_twin(twin): print(f'<{twin.name}>')\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-rsP", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"GANS_TWINS": names},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    for name in ("torch", "jax"):
        reason = f"GANS_TWINS leaves {name} out"
        assert (reason in result.stdout) == (name in left_out)
        assert (f"<{name}>" in result.stdout) == (name not in left_out)
