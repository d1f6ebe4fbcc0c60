"""Steps that are recorded as CUDA graphs do what steps do that are not.

A graph repeats operations on fixed places in memory: whatever Python decides, computes
or assigns while it is recorded stays as it was. The recorder here does just that with
PyTorch's operations on the CPU, so that every machine sees what would go wrong.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import gans_torch.backend
from gans_torch._graphs import StepGraphs
from parity_tests.certificate.compare import difference
from parity_tests.certificate.registry import Finding, check
from parity_tests.comparisons import accumulation
from parity_tests.comparisons.first_steps import CONFIGS, make_config
from parity_tests.harness.trajectories import (
    compare_runs,
    make_data,
    make_session,
    run,
)
from shared.config.train_config import TrainConfig
from shared.training.session import Session

# One eagerly, one recorded, one repeated: with D's update, and without it.
_STEPS = 6


class _Recorder(TorchDispatchMode):
    """Stands in for `gans_torch._graphs.CudaRecorder`."""

    eager_runs = 1

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self._calls.append((func, args, kwargs or {}, result))
        return result

    def run(self, function: Callable[[], Any]) -> Any:
        return function()

    def record(
        self, function: Callable[[], Tensor]
    ) -> tuple[Tensor, Callable[[], None]]:
        self._calls = []
        with self:
            result = function()
        return result, functools.partial(_repeat, self._calls)


def _repeat(calls: list[tuple[Any, Any, Any, Any]]) -> None:
    with torch.no_grad():
        for func, args, kwargs, recorded in calls:
            results = tree_leaves(func(*args, **kwargs))
            for place, value in zip(tree_leaves(recorded), results, strict=True):
                # A view, or a change in place, is where it should be already.
                if isinstance(place, Tensor) and place.data_ptr() != value.data_ptr():
                    place.copy_(value)


def _compare(config: TrainConfig, bound: str) -> list[Finding]:
    eager = make_session(config, 1, "torch")
    data = make_data(config.image_size)
    backend = gans_torch.backend.Backend(config, data.info, "cpu")
    backend._graphs = StepGraphs(backend._step, _Recorder())
    recorded = Session(config, data, backend)
    # In one call; and a run before, whose recordings the next start must not use.
    metrics = []
    for session in (recorded, eager):
        session.start()
        metrics.append(session.run(_STEPS))
    findings = compare_runs(run(recorded, _STEPS), run(eager, _STEPS), bound)
    first, second = metrics
    largest = max(difference(first[k], second[k], floor=1.0) for k in second)
    return [*findings, Finding("metrics of one call", largest, bound)]


def _check(name: str, config: TrainConfig, bound: str) -> None:
    check(f"recorded steps/{name}", "training", ("backend.Backend",))(
        functools.partial(_compare, config, bound)
    )


for _name in CONFIGS:
    _config = make_config(_name)
    # A recorded Adam whose beta2 changes takes operations of its own.
    _check(_name, dataclasses.replace(_config, final_beta2=None), "exact")
    if _config.final_beta2 is not None:
        _check(f"{_name}, beta2", _config, "trajectory, float64")
_check("slices", accumulation.CONFIGS["pairs"], "exact")
