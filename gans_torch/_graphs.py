"""Training steps as CUDA graphs: a step's kernels recorded once, launched together.

A step has hundreds of kernels. Unless they are large, the CPU takes longer to launch
them one by one than the GPU to run them.
"""

import contextlib
import gc
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from gans_torch.steps import Batch, Images, Metrics, Records
from shared.config.schedules import Phases, Scalars
from shared.words import one_line


class StepInputs(NamedTuple):
    """What changes from one step to the next."""

    batches: list[Batch]
    generator_noise: Images | None
    generator_augmentation: Records | None
    scalars: Scalars
    """What changes is a tensor where the step is recorded."""


@runtime_checkable
class Recorder(Protocol):
    """How a device runs and records what a Python function asks of it."""

    eager_runs: int
    """Runs before the one that is recorded."""

    def run(self, function: Callable[[], Metrics]) -> Metrics:
        """Run the function eagerly."""

    def record(
        self, function: Callable[[], Tensor]
    ) -> tuple[Tensor, Callable[[], None]]:
        """Run the function and record what it does.

        Returns:
            Its result, and what does the same again, in the same memory.
        """


class CudaRecorder(Recorder):
    """Records CUDA graphs.

    Args:
        device: a GPU.
    """

    # As PyTorch's documentation asks: libraries set themselves up in the first runs.
    eager_runs = 3

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def run(self, function: Callable[[], Metrics]) -> Metrics:
        """Run on a stream beside the usual one.

        Autograd remembers streams, and must not remember the usual one when it is
        recorded.
        """
        usual = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream):
            result = function()
        usual.wait_stream(self._stream)
        return result

    def record(
        self, function: Callable[[], Tensor]
    ) -> tuple[Tensor, Callable[[], None]]:
        """Run and record, on the stream of the first runs, for which libraries are set.

        PyTorch would take one of the first device that something was recorded on.
        """
        graph = torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(self._device),
            # Recording leaves it only where nothing fails.
            torch.cuda.stream(torch.cuda.current_stream(self._device)),
            # Other threads may go on to use the GPU meanwhile.
            torch.cuda.graph(
                graph, stream=self._stream, capture_error_mode="thread_local"
            ),
        ):
            result = function()
        graph.replay()  # until here, nothing was run
        return result, graph.replay


class StepGraphs:
    """A training step that is recorded when it has run a few times.

    The tensors that it changes must stay where they are, or be followed by a `clear`.

    Args:
        step: from which updates to make, and the inputs, to the step's metrics. It
            waits for nothing, and reads nothing else that changes, but the state.
        recorder: usually a `CudaRecorder`.
    """

    def __init__(
        self, step: Callable[[Phases, StepInputs], Metrics], recorder: Recorder
    ) -> None:
        self._step = step
        self._recorder = recorder
        self._eager_runs: float = recorder.eager_runs
        self.clear()

    def clear(self) -> None:
        """Forget what was recorded."""
        self._seen: Counter[Phases] = Counter()
        self._recorded: dict[Phases, _Recorded] = {}

    def __call__(self, phases: Phases, inputs: StepInputs) -> Metrics:
        """Do a step."""
        if phases in self._recorded:
            return self._recorded[phases](inputs)
        if self._seen[phases] >= self._eager_runs:
            try:
                recorded = _Recorded(self._step, self._recorder, phases, inputs)
            except RuntimeError as error:  # too little memory, for example
                self.clear()  # whose memory others may need
                self._eager_runs = math.inf
                message = f"training goes on without CUDA graphs: {one_line(error)}"
                warnings.warn(message, stacklevel=2)
            else:
                self._recorded[phases] = recorded
                return recorded.metrics()
        self._seen[phases] += 1
        return self._recorder.run(lambda: self._step(phases, inputs))


class _Recorded:
    """One recording. Its inputs and metrics have their places in memory."""

    def __init__(
        self,
        step: Callable[[Phases, StepInputs], Metrics],
        recorder: Recorder,
        phases: Phases,
        inputs: StepInputs,
    ) -> None:
        self._inputs = _copy(inputs)

        def recorded() -> Tensor:
            metrics = step(phases, self._inputs)
            self._names = list(metrics)
            return torch.stack(list(metrics.values()))

        with _nothing_freed():
            self._metrics, self._replay = recorder.record(recorded)

    def __call__(self, inputs: StepInputs) -> Metrics:
        for place, value in zip(_tensors(self._inputs), _tensors(inputs), strict=True):
            place.copy_(value)
        self._replay()
        return self.metrics()

    def metrics(self) -> Metrics:
        """Of the last step; a copy, as the next step overwrites them."""
        return dict(zip(self._names, self._metrics.clone(), strict=True))


@contextlib.contextmanager
def _nothing_freed() -> Iterator[None]:
    """Garbage is collected before, and not inside.

    Another run's graph, freed while this one is recorded, would end the recording.
    """
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _tensors(inputs: StepInputs) -> list[Tensor]:
    batches, noise, records, scalars = inputs
    values = [*chain(*batches), noise, records, *scalars]
    return [x for x in values if isinstance(x, Tensor)]


def _copy(inputs: StepInputs) -> StepInputs:
    def copy(x: Any) -> Any:
        return x.clone() if isinstance(x, Tensor) else x

    batches, noise, records, scalars = inputs
    return StepInputs(
        [Batch(*map(copy, b)) for b in batches],
        copy(noise),
        copy(records),
        Scalars(*map(copy, scalars)),
    )
