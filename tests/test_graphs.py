import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shared import draws, initial
from shared.backend import DataInfo, ImageData
from shared.config import Precision, TrainConfig

pytestmark = pytest.mark.needs("torch")

_CONFIG = TrainConfig(image_size=16, width=2, batch_size=4, z_dim=3)
_INFO = DataInfo(1, 2, 6, "")
_IMAGES = np.arange(6 * 16 * 16, dtype=np.uint8).reshape(6, 16, 16, 1)


class _NoRecorder:
    """A device that runs, but cannot record."""

    eager_runs = 1

    def __init__(self) -> None:
        self.tries = 0

    def run(self, function: Callable[[], Any]) -> Any:
        return function()

    def record(self, function: Callable[[], Any]) -> Any:
        self.tries += 1
        raise RuntimeError("no memory")


def _train(
    recorder: _NoRecorder | None = None, device: str = "cpu", eagerly: bool = False
) -> tuple[Any, ...]:
    from gans_torch._graphs import StepGraphs
    from gans_torch.backend import Backend

    # On a CPU in float64, in which a rate is the same as a tensor.
    precision: Precision = "float64" if device == "cpu" else "float32"
    backend = Backend(dataclasses.replace(_CONFIG, precision=precision), _INFO, device)
    if eagerly:
        backend._graphs = None
    if recorder is not None:
        backend._graphs = StepGraphs(backend._step, recorder)
    backend.load(initial.initial_arrays(backend.shapes(), 0))
    backend.load_data(ImageData(_IMAGES, None, (), _INFO))
    drawn = draws.draw(_CONFIG, 1, 6, 10, range(8))
    metrics = backend.train(backend.prepare(drawn))()
    if device == "cuda" and not eagerly:
        assert backend._graphs is not None
        assert backend._graphs._recorded
    return metrics, backend.arrays()


def test_a_step_that_cannot_be_recorded_is_run() -> None:
    recorder = _NoRecorder()
    with pytest.warns(UserWarning, match="goes on without CUDA graphs: no memory"):
        found = _train(recorder)
    assert recorder.tries == 1
    for ours, theirs in zip(found, _train(), strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def test_recorded_steps_are_the_same_on_a_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    recorded, eager = _train(device="cuda"), _train(device="cuda", eagerly=True)
    for ours, theirs in zip(recorded, eager, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            # cuDNN adds up in an order of its own each time.
            np.testing.assert_allclose(value, theirs[name], atol=1e-5, err_msg=name)
