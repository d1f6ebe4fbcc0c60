"""What a package offers is there, and nothing heavy comes with it."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.data import datasets, points
from support import TINY, Twin


def test_all_that_is_offered_is_there(twin: Twin) -> None:
    for name in twin.library.__all__:
        assert getattr(twin.library, name) is not None
        assert name in dir(twin.library)


def test_nothing_else_is_listed(twin: Twin) -> None:
    for module in (twin.library, twin.library.data):
        listed = {x for x in dir(module) if not x.startswith("__")}
        assert listed == {x for x in module.__all__ if not x.startswith("__")}
        assert "__path__" in dir(module)


def test_what_is_not_offered_is_not_there(twin: Twin) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'train_gan'"):
        twin.library.train_gan  # noqa: B018


@pytest.mark.parametrize(
    ("use", "allowed"),
    [("", ()), ("gans.TrainConfig()", ()), ("gans.data.from_arrays", ("numpy",))],
)
def test_what_needs_no_framework_imports_none(
    use: str, allowed: tuple[str, ...], twin: Twin
) -> None:
    heavy = {"numpy", "PIL", "torch", "jax", "flax", "matplotlib"} - {*allowed, "PIL"}
    code = (
        f"import sys, gans_{twin.name} as gans; {use}\n"
        f"assert not {heavy} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_training_imports_no_compiler_and_no_statistics(
    twin: Twin, data_dir: Path, tmp_path: Path
) -> None:
    """Each takes a second or more, of every start."""
    words = ["dcgan", *TINY, "--run-dir", tmp_path, "--data-dir", data_dir]
    code = (
        f"import sys\nfrom gans_{twin.name}.train import main\n"
        f"main({list(map(str, words))})\n"
        "heavy = {'torch._dynamo', 'scipy.stats', 'sklearn.metrics'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    # Its images are made, and so scikit-learn's digits imported, before.
    datasets.load("digits", 16, data_dir)
    subprocess.run([sys.executable, "-c", code], check=True)


def test_evaluate_is_a_function_even_where_the_command_was_imported(twin: Twin) -> None:
    twin.main("evaluate")
    with pytest.raises(ValueError, match="num 3: must be 16 or more"):
        twin.library.evaluate("run", points.load("ring"), num=3)


@pytest.mark.parametrize("module", ["distribution", "layers", "losses", "penalties"])
def test_what_own_parts_are_made_of_needs_no_import(module: str, twin: Twin) -> None:
    name = f"gans_{twin.name}"
    code = f"import {name}; assert {name}.{module}.__name__ == '{name}.{module}'"
    subprocess.run([sys.executable, "-c", code], check=True)
