import contextlib
import dataclasses
import gc
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from shared.backend import Arithmetic
from shared.config.choices import Precision
from shared.config.presets import PRESETS
from shared.config.schedules import Phases, Scalars
from shared.config.train_config import TrainConfig
from shared.data.image_data import DataInfo, ImageData
from shared.training.session import Session

pytestmark = pytest.mark.needs("torch")

_TINY: dict[str, Any] = {"image_size": 16, "width": 2, "batch_size": 4, "z_dim": 3}
_INFO = DataInfo(1, 2, 6, "")
_IMAGES = np.arange(6 * 16 * 16, dtype=np.uint8).reshape(6, 16, 16, 1)
_LABELS = np.arange(6, dtype=np.int32) % 2
_DATA = ImageData(_IMAGES, _LABELS, ("a", "b"), _INFO)


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
    config: TrainConfig,
    recorder: _NoRecorder | None = None,
    device: str = "cpu",
    eagerly: bool = False,
    deterministic: bool = False,
) -> tuple[Any, ...]:
    from gans_torch._graphs import StepGraphs
    from gans_torch.backend import Backend

    backend = Backend(config, _INFO, device, Arithmetic(deterministic=deterministic))
    if eagerly:
        backend._graphs = None
    if recorder is not None:
        backend._graphs = StepGraphs(backend._step, recorder)
    session = Session(config, _DATA, backend)
    session.start()
    metrics = session.run(8)
    if device == "cuda" and not eagerly:
        assert backend._graphs is not None
        assert backend._graphs._recorded
    return metrics, backend.arrays()


def test_a_step_that_cannot_be_recorded_is_run() -> None:
    recorder = _NoRecorder()
    # In float64, in which a rate is the same as a tensor.
    config = dataclasses.replace(PRESETS["dcgan"], precision="float64", **_TINY)
    with pytest.warns(UserWarning, match="goes on without CUDA graphs: no memory"):
        found = _train(config, recorder)
    assert recorder.tries == 1
    for ours, theirs in zip(found, _train(config), strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def test_what_was_recorded_before_makes_room_when_memory_is_short() -> None:
    import torch

    from gans_torch._graphs import StepGraphs, StepInputs

    class Recorder(_NoRecorder):
        def record(self, function: Callable[[], Any]) -> Any:
            self.tries += 1
            if self.tries == 2:
                raise torch.OutOfMemoryError("Tried to allocate 1 GiB.\nSee more")
            return function(), lambda: None

    recorder = Recorder()
    graphs = StepGraphs(lambda *_: {"d_loss": torch.zeros(())}, recorder)
    inputs = StepInputs([], None, None, Scalars(*[0.0] * len(Scalars._fields)))
    first, second = (Phases(True, by_penalty, False) for by_penalty in (False, True))
    for phases in (first, first, second):
        graphs(phases, inputs)
    assert list(graphs._recorded) == [first]
    with pytest.warns(
        UserWarning, match=r"graphs: Tried to allocate 1 GiB\. See more$"
    ):
        graphs(second, inputs)
    assert not graphs._recorded
    for phases in (first, second) * 2:
        graphs(phases, inputs)
    assert recorder.tries == 2


class _Replaying(_NoRecorder):
    """Records nothing, and does it again: as a graph, in the same memory."""

    def record(self, function: Callable[[], Any]) -> Any:
        self.tries += 1
        result = function()
        return result, lambda: result.copy_(function())


class _Cuda:
    """What `CudaRecorder` asks of ``torch.cuda``, whose graph leaves its stream set."""

    CUDAGraph = SimpleNamespace
    device = contextlib.nullcontext

    def __init__(self) -> None:
        self.current = "usual"
        self.fails = False

    def Stream(self, device: object) -> str:
        return f"of {device}"

    def current_stream(self, device: object) -> str:
        return self.current

    @contextlib.contextmanager
    def stream(self, stream: str) -> Iterator[None]:
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    @contextlib.contextmanager
    def graph(self, graph: Any, stream: str, capture_error_mode: str) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        if self.fails:
            raise RuntimeError("capture_end")
        self.current = before
        graph.replay = lambda: None


@pytest.mark.parametrize("fails", [False, True])
def test_a_step_is_recorded_on_its_own_devices_stream(
    fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from gans_torch._graphs import CudaRecorder

    cuda, seen = _Cuda(), []
    cuda.fails = fails
    monkeypatch.setattr(torch, "cuda", cuda)
    recorder = CudaRecorder(torch.device("cuda:1"))

    def step() -> torch.Tensor:
        seen.append(cuda.current)
        return torch.zeros(())

    with pytest.raises(RuntimeError) if fails else contextlib.nullcontext():
        recorder.record(step)
    assert seen == ["of cuda:1"]
    assert cuda.current == "usual"


# In which everything changes from step to step that a schedule can change.
_BURN_IN: dict[str, Any] = {
    "g_own_batch": True,
    "penalty": "r1-r2",
    "d_norm": "none",
    "burn_in_images": 28,
    "final_g_lr": 1e-3,
    "final_d_lr": 1e-4,
    "final_penalty_weight": 1.0,
    "final_beta2": 0.9,
    "final_ema_half_life": 20.0,
    "augment": "ada:r3gan",
    "augment_p": 0.1,
    "final_augment_p": 0.9,
}


def test_a_recorded_step_reads_what_is_scheduled_anew() -> None:
    recorder = _Replaying()
    settings: dict[str, Any] = {"precision": "float64", **_TINY, **_BURN_IN}
    config = dataclasses.replace(PRESETS["relativistic"], **settings)
    found = _train(config, recorder)
    assert recorder.tries == 1
    for ours, theirs in zip(found, _train(config), strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            np.testing.assert_allclose(value, theirs[name], atol=1e-12, err_msg=name)


def test_what_was_recorded_is_not_of_another_state() -> None:
    from gans_torch._graphs import StepGraphs
    from gans_torch.backend import Backend

    backend = Backend(_tiny("dcgan"), _INFO, "cpu")
    recorder = _Replaying()
    backend._graphs = StepGraphs(backend._step, recorder)
    session = Session(backend.config, _DATA, backend)
    for recorded in (1, 2):
        session.start()
        session.run(4)
        assert recorder.tries == recorded


# Settings in which each kind of step comes often enough to be recorded.
_CHANGES: dict[str, dict[str, Any]] = {
    "relativistic": _BURN_IN,
    "stylegan2": {"penalty_every": 2, "path_length": 2.0, "path_length_every": 2},
    # Without batch norm, which cancels biases: Adam follows their gradients' rounding.
    "sagan": {
        "augment": "ada",
        "augment_p": 0.8,
        "conditional": False,
        "g_norm": "none",
    },
    "biggan": {"augment": "diffaugment", "flip": True},
}


def _tiny(preset: str, precision: Precision = "float32") -> TrainConfig:
    changes = _TINY | _CHANGES.get(preset, {})
    return dataclasses.replace(PRESETS[preset], precision=precision, **changes)


@pytest.mark.parametrize(
    "preset", ["dcgan", "wgan-gp", "dragan", "quick", "r3gan", *_CHANGES]
)
def test_a_step_asks_the_host_for_nothing(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which would end its recording. Shapes stand in for a GPU: they are no host."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    from gans_torch import backend, optim

    class KeepsToItself(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            leaves = tree_leaves((args, result))
            tensors = [x for x in leaves if isinstance(x, torch.Tensor) and x.ndim]
            places = {x.device.type for x in tensors}
            assert len(places) < 2, f"{func}: between the host and the device"
            return result

    monkeypatch.setattr(backend, "find_device", lambda _: torch.device("meta"))
    # What shapes do not have: kernels of their own, and a lower precision.
    monkeypatch.setattr(optim, "_adam_step", lambda *_: None)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    config = _tiny(preset)
    shapes = backend.Backend(config, _INFO, "a stand-in")
    session = Session(config, _DATA, shapes)
    shapes.load_data(_DATA)
    inputs = shapes._send(session.prepare(range(2)).inputs)
    shapes._train_step(inputs, 0)  # what is sent once is sent now
    with KeepsToItself():
        shapes._train_step(inputs, 1)


def _needs_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")


def test_nothing_is_freed_while_a_step_is_recorded() -> None:
    """Freeing another run's graph meanwhile would end the recording."""
    collecting = []

    class Recorder(_NoRecorder):
        def record(self, function: Callable[[], Any]) -> Any:
            collecting.append(gc.isenabled())
            return function(), lambda: None

    _train(dataclasses.replace(PRESETS["dcgan"], **_TINY), Recorder())
    assert collecting == [False]
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("preset", "precision", "tolerance"),
    [
        ("relativistic", "float32", 1e-5),
        ("dcgan", "float32", 1e-5),
        ("dcgan", "tf32", 1e-2),
        ("dcgan", "bfloat16", 1e-2),
        ("wgan", "float32", 1e-5),
        ("wgan-gp", "float32", 1e-5),
        ("wgan-gp", "bfloat16", 1e-2),
        ("hinge", "float32", 1e-5),
        ("dragan", "float32", 1e-5),
        ("sngan", "float32", 1e-5),
        ("sagan", "float32", 1e-5),
        ("biggan", "float32", 1e-5),
        ("r3gan", "float32", 1e-5),
        ("stylegan2", "float32", 1e-5),
        ("stylegan2", "bfloat16", 1e-2),
    ],
)
def test_recorded_steps_are_the_same_on_a_gpu(
    preset: str, precision: Precision, tolerance: float
) -> None:
    _needs_gpu()
    config = _tiny(preset, precision)
    recorded = _train(config, device="cuda")
    eager = _train(config, device="cuda", eagerly=True)
    for ours, theirs in zip(recorded, eager, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            # cuDNN adds up in an order of its own each time.
            np.testing.assert_allclose(
                value, theirs[name], rtol=tolerance, atol=tolerance, err_msg=name
            )


def test_a_run_that_is_gone_does_not_disturb_the_next_one_on_a_gpu() -> None:
    """Its graphs hang in a circle of references until the collector comes by."""
    _needs_gpu()
    config = dataclasses.replace(PRESETS["wgan-gp"], **_TINY)
    _train(config, device="cuda")
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        _train(config, device="cuda")  # a warning would be an error
    finally:
        gc.set_threshold(*thresholds)


@pytest.mark.parametrize(
    "preset",
    ["dcgan", "wgan-gp", "hinge", "dragan", "sagan", "biggan", "r3gan", "stylegan2"],
)
def test_deterministic_runs_are_the_same_to_the_last_bit_on_a_gpu(preset: str) -> None:
    """Without the flag, two runs on an H100 differ in bytes."""
    _needs_gpu()
    config = _tiny(preset)
    first, second = (
        _train(config, device="cuda", deterministic=True) for _ in range(2)
    )
    for ours, theirs in zip(first, second, strict=True):
        for name, value in ours.items():
            np.testing.assert_array_equal(value, theirs[name], err_msg=name)
