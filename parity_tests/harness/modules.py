"""Both twins' layers and networks on one task: all numbers of both, compared."""

from types import ModuleType
from typing import Any

import numpy as np

from parity_tests.certificate.registry import Finding, Worst
from parity_tests.harness.jax_side import run_jax
from parity_tests.harness.tasks import Shapes, Task, compare, normal, random_arrays
from parity_tests.harness.torch_side import run_torch
from parity_tests.harness.trajectories import shrink
from shared.config.presets import PRESETS
from shared.data.image_data import DataInfo
from shared.files.arrays import Arrays
from shared.sizes import height_and_width

RUNS = {"torch": run_torch, "jax": run_jax}
_CLASSES = 3


def softened(shapes: Shapes) -> Arrays:
    """Random arrays, the weights small enough that sums of many do not explode."""
    return {
        name: x if x.ndim < 2 else (x / np.sqrt(x[0].size)).astype(np.float32)
        for name, x in random_arrays(shapes).items()
    }


def network_task(
    network: str,
    preset: str,
    training: bool = True,
    channels: int = 3,
    second_order: bool = False,
    **options: Any,
) -> Task:
    """One network of a preset, on four samples.

    Args:
        network: ``generator`` or ``discriminator``.
        preset: whose architecture it has.
        training: whether in training mode.
        channels: of the images.
        second_order: whether second derivatives are compared.
        options: of the configuration.
    """
    config = shrink(PRESETS[preset], **({"image_size": 8, "z_dim": 5} | options))
    image = (channels, *height_and_width(config.image_size))
    shape = (config.z_dim,) if network == "generator" else image

    def build(twin: ModuleType) -> Any:
        make = getattr(twin.models, f"build_{network}")
        return make(config, DataInfo(channels, _CLASSES, 4, ""))

    labels = np.array([2, 0, 0, 1]) if config.conditional else None
    inputs = normal(1, 4, *shape)
    return Task(build, inputs, labels, training, second_order, softened)


def compare_twins(
    tasks: dict[str, Task], float64: str, float32: str = "", floor: float = 1e-12
) -> list[Finding]:
    """The twins against each other in float64; each in float32 against its float64.

    Args:
        tasks: what both compute, by a name for the reader.
        float64: tolerance between the twins.
        float32: tolerance of a twin's own rounding; empty to leave that out.
        floor: as in `compare.difference`.

    Returns:
        For each aspect the worst task and array. In evaluation mode there is one aspect
        more: that the buffers are still those that were loaded.
    """
    worst = Worst()
    for case, task in tasks.items():
        exact = {twin: run(task, np.float64) for twin, run in RUNS.items()}
        compare(worst, exact["torch"], exact["jax"], float64, case, floor=floor)
        for twin, run in RUNS.items():
            state = exact[twin]["state"]
            if state and not task.training:
                loaded = task.arrays({name: x.shape for name, x in state.items()})
                compare(
                    worst,
                    {"state": state},
                    {"state": loaded},
                    "exact",
                    case,
                    aspect=f"state kept in evaluation mode, {twin}",
                )
            if float32:
                compare(
                    worst,
                    run(task, np.float32),
                    exact[twin],
                    float32,
                    case,
                    floor=floor,
                    aspect=f"float32 against float64, {twin}",
                )
    return worst.findings()
