"""Both twins' layers and networks on one task: all numbers of both, compared."""

import numpy as np

from parity_tests.certificate.registry import Finding, Worst
from parity_tests.harness.jax_side import run_jax
from parity_tests.harness.tasks import Task, compare
from parity_tests.harness.torch_side import run_torch

RUNS = {"torch": run_torch, "jax": run_jax}


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
