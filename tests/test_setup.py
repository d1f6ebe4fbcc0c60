"""What all other tests rely on: run-time shape checks, and the choice of twins."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from support import Twin


def test_shapes_of_annotated_functions_are_checked(twin: Twin) -> None:
    losses = importlib.import_module(f"gans_{twin.name}.losses")
    framework = importlib.import_module(
        {"torch": "torch", "jax": "jax.numpy"}[twin.name]
    )
    logits = framework.asarray(np.zeros(3, np.float32))
    loss = losses.non_saturating_discriminator_loss(logits, logits)
    assert float(loss) == pytest.approx(2 * np.log(2))
    with pytest.raises(TypeCheckError):
        losses.non_saturating_discriminator_loss(logits[:, None], logits)


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


@pytest.mark.parametrize(
    ("names", "left_out"), [("torch", ["jax"]), ("jax", ["torch"]), ("torch,jax", [])]
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
