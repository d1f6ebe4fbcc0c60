"""What tests share: the twins under test, and a training that takes a moment."""

import importlib
import importlib.util
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo
from shared.run.checkpoint import Checkpoint

Train = Callable[..., None]

TWINS = ("torch", "jax")
# A twin that is named here and not installed fails its tests; it is never skipped.
SELECTED = tuple(os.environ.get("GANS_TWINS", ",".join(TWINS)).split(","))


@dataclass(frozen=True)
class Twin:
    """One twin's command lines, and what it offers to Python."""

    name: str

    @property
    def library(self) -> Any:
        """The twin's package, as Python imports it."""
        return importlib.import_module(f"gans_{self.name}")

    def main(self, command: str) -> Callable[[Sequence[str] | None], None]:
        """``main`` of ``train`` or ``sample``, to be called with its arguments."""
        module = {"data": "data.__main__"}.get(command, command)
        return importlib.import_module(f"gans_{self.name}.{module}").main

    def command(self, command: str, *arguments: object) -> list[str]:
        """The same as a command for `subprocess.run`."""
        module = f"gans_{self.name}.{command}"
        return [sys.executable, "-m", module, *map(str, arguments)]

    def array(self, values: object) -> Any:
        """An array of the twin's framework."""
        array = np.array(values)  # a copy, as PyTorch wants to write
        if self.name == "torch":
            return importlib.import_module("torch").from_numpy(array)
        return importlib.import_module("jax.numpy").asarray(array)

    def zeros(self, *shape: int) -> Any:
        """Zeros as the twin's framework makes them, on whatever device it is told."""
        module = {"torch": "torch", "jax": "jax.numpy"}[self.name]
        return importlib.import_module(module).zeros(shape)


def module_of(path: Path) -> ModuleType:
    """What a file of Python defines that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PATIENCE = 600
"""Seconds until a test gives up what does not come: a machine may be busy."""

# A training that takes a moment.
TINY = (
    *("--image-size", "16", "--width", "4", "--z-dim", "8", "--batch-size", "8"),
    *("--steps", "6", "--log-every", "1", "--sample-every", "2", "--save-every", "3"),
    *("--device", "cpu"),
)


def forged_state(twin: Twin, config: TrainConfig, data: DataInfo) -> Checkpoint:
    """The first state of a run, but that G's average is another than G."""
    backend = twin.library.make_backend(config, data, "cpu")
    rng = np.random.default_rng(0)
    backend.load(
        {
            # Not below zero, where no variance can be.
            name: np.asarray(abs(0.1 * rng.standard_normal(shape) + 0.2), np.float32)
            for name, shape in backend.shapes().items()
        }
    )
    arrays = backend.arrays()
    for name in arrays:
        if name.startswith("generator_ema.") and name.endswith("weight"):
            arrays[name] = arrays[name] * np.float32(1.5)
    return Checkpoint(0, config, data, arrays)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its name; without lock files."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def untimed_contents(run: Path) -> dict[str, bytes]:
    """The same of a run, without what tells how fast it was."""
    timed = ("metrics.jsonl", "report.html")
    return {name: file for name, file in contents(run).items() if name not in timed}


def metrics(run: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl, without what depends on the time."""
    records = list(map(json.loads, (run / "metrics.jsonl").read_text().splitlines()))
    for record in records:
        assert record.pop("images_per_second") > 0
        assert record.pop("seconds") >= 0
        assert 0 <= record.pop("wait_share") <= 1
    return records


def last_checkpoint(run: Path) -> Path:
    return max((run / "checkpoints").iterdir())


def copy(run: Path, folder: Path) -> Path:
    """A copy of a run that a test may change."""
    return shutil.copytree(run, folder / "copy")


def stopped(status: int, call: Callable[[], object]) -> None:
    """Check that the call ends the program with this exit status."""
    with pytest.raises(SystemExit) as stop:
        call()
    assert stop.value.code == status


@pytest.fixture
def place() -> Iterator[str]:
    """HOST:PORT where processes can meet."""
    # Late, as this imports a twin's package, before pytest has its types checked.
    from parity_tests.harness.devices import meeting_place

    with meeting_place() as found:
        yield found


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """By programs that a test starts, even where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
