"""Which twins are under test, and how a test reaches one of them."""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

TWINS = ("torch", "jax")
# A twin that is named here and not installed fails its tests; it is never skipped.
SELECTED = tuple(os.environ.get("GANS_TWINS", ",".join(TWINS)).split(","))


@dataclass(frozen=True)
class Twin:
    """One twin's command lines."""

    name: str

    def main(self, command: str) -> Callable[[Sequence[str] | None], None]:
        """``main`` of ``train`` or ``sample``, to be called with its arguments."""
        return importlib.import_module(f"gans_{self.name}.{command}").main

    def command(self, command: str, *arguments: object) -> list[str]:
        """The same as a command for `subprocess.run`."""
        module = f"gans_{self.name}.{command}"
        return [sys.executable, "-m", module, *map(str, arguments)]


def pytest_configure() -> None:
    if not set(SELECTED) <= set(TWINS):
        names = ",".join(SELECTED)
        raise pytest.UsageError(f"GANS_TWINS={names}: must be torch, jax or torch,jax")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        if mark.args[0] not in SELECTED:
            pytest.skip(f"GANS_TWINS leaves {mark.args[0]} out")


@pytest.fixture(params=SELECTED)
def twin(request: pytest.FixtureRequest) -> Twin:
    """Each twin under test in turn."""
    return Twin(request.param)
