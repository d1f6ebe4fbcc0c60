"""The twins on an accelerator: ``python -m benchmarks.device_parity [--device cuda]``.

Small trainings of each precision on the device, against PyTorch in float64 on the CPU.
Prints one JSON object a line, as it goes. Nothing is asserted: float64 should agree to
rounding, float32 to its own rounding, and what TF32 and bfloat16 do is for the reader.
"""

import dataclasses
import functools
import importlib
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import command_line
from shared.config.choices import Precision
from shared.config.presets import PRESETS
from shared.config.train_config import TrainConfig
from shared.training.session import Session

# Every objective, penalty, norm, architecture and augmentation; by preset, and what is
# changed in it.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        name: (name, {})
        for name in (
            *("dcgan", "wgan", "wgan-gp", "cgan", "lsgan", "hinge", "dragan"),
            *("relativistic", "quick", "sngan", "cgan-pd-cifar10"),
            *("wgan-gp-resnet-cifar10", "sagan", "biggan", "r3gan"),
        )
    },
    # So often that each kind of step is recorded, and repeated.
    "stylegan2": ("stylegan2-256", {"penalty_every": 2, "path_length_every": 2}),
    "diffaugment": ("dcgan", {"augment": "diffaugment", "flip": True}),
    "ada": ("dcgan", {"augment": "ada", "augment_p": 0.8}),
}
PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "cpu": ("float64", "float32", "bfloat16"),
    "cuda": ("float64", "float32", "tf32", "bfloat16"),
    "tpu": ("float32", "bfloat16"),
}
"""What each kind of device computes in."""
# Few enough that rounding has not grown yet, enough that a CUDA graph is replayed.
_STEPS = 10

_State = dict[str, NDArray[Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What to compare."""

    device: str = "cuda"
    """cpu, cuda, cuda:N or, for JAX alone, tpu."""
    cases: tuple[str, ...] = tuple(CASES)
    """Names of presets, or of what is compared beside them."""
    jobs: int = 1
    """Processes side by side, where time goes into compiling."""


def main(argv: Sequence[str] | None = None) -> None:
    """Compare, and print.

    Args:
        argv: the arguments; None: the process's.
    """
    with command_line.run(Options, argv, "device_parity", __doc__) as options:
        # JAX would take three quarters of the memory, and PyTorch works beside it.
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        if options.jobs > 1:
            # Or each would compute with as many threads as all have.
            os.environ["OMP_NUM_THREADS"] = "1"
            # Or XLA would try kernels, of which several processes at once take minutes.
            flags = os.environ.get("XLA_FLAGS", "")
            os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_autotune_level=0"
        for row in compare(options):
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()


def compare(options: Options) -> Iterator[dict[str, Any]]:
    """A row for each case, precision and twin; of several jobs as they are done.

    Each holds ``metrics`` and ``arrays``: the largest difference after ten steps, as a
    share of the largest number (or of 1, where that is less), and the worst array; and
    ``repeats``: whether a second run on the device gave the same bytes. Or ``failed``,
    what was said.

    Raises:
        UsageError: there is no such case or kind of device, or nobody compares.
    """
    command_line.check_known("cases", options.cases, CASES)
    command_line.check_above_0(options, "jobs")
    kind = options.device.partition(":")[0]
    command_line.check_known("device", [kind], PRECISIONS)
    twins = ("jax",) if kind == "tpu" else ("torch", "jax")
    rows = [
        (case, precision, twin, options.device)
        for case in options.cases
        for precision in PRECISIONS[kind]
        for twin in twins
    ]
    if options.jobs == 1:
        yield from (_compare(*row) for row in rows)
        return
    # A process with JAX or CUDA in it cannot be forked.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=spawn) as pool:
        # The largest networks stand last, and take longest.
        futures = {pool.submit(_compare, *row): row for row in reversed(rows)}
        for future in as_completed(futures):
            if error := future.exception():
                case, precision, twin, _ = futures[future]
                failed = f"{type(error).__name__}: {error}"
                yield _name(case, precision, twin) | {"failed": failed}
            else:
                yield future.result()


def _name(case: str, precision: Precision, twin: str) -> dict[str, Any]:
    return {"case": case, "twin": twin, "precision": precision}


def _compare(case: str, precision: Precision, twin: str, device: str) -> dict[str, Any]:
    row = _name(case, precision, twin)
    exact = _exact(case)
    first = _train(twin, case, precision, device)
    second = _train(twin, case, precision, device)
    for what, found, expected in zip(("metrics", "arrays"), first, exact, strict=True):
        row[what], row[f"worst_of_{what}"] = _difference(found, expected)
    row["repeats"] = all(
        np.array_equal(one[name], other[name])
        for one, other in zip(first, second, strict=True)
        for name in one
    )
    return row


@functools.cache
def _exact(case: str) -> tuple[_State, _State]:
    return _train("torch", case, "float64", "cpu")


def _train(
    twin: str, case: str, precision: Precision, device: str
) -> tuple[_State, _State]:
    """Metrics and arrays after some steps of a small training."""
    from parity_tests.harness import trajectories

    preset, changes = CASES[case]
    config = trajectories.shrink(PRESETS[preset], precision=precision, **changes)
    session = _session(twin, config, device)
    session.start()
    metrics = []
    while session.step < _STEPS:
        steps = min(session.backend.steps_per_call, _STEPS - session.step)
        metrics.append(session.run(steps))
    joined = {
        name: np.concatenate([one[name] for one in metrics]) for name in metrics[0]
    }
    return joined, session.backend.arrays()


@functools.lru_cache(maxsize=1)  # for the second run of the same
def _session(twin: str, config: TrainConfig, device: str) -> Session:
    from parity_tests.harness import trajectories

    data = trajectories.make_data(config.image_size)
    make_backend = importlib.import_module(f"gans_{twin}").make_backend
    return Session(config, data, make_backend(config, data.info, device))


def _difference(found: _State, expected: _State) -> tuple[float, str]:
    """The largest difference of any array, and that array's name."""
    worst, where = 0.0, ""
    for name, value in found.items():
        exact = np.asarray(expected[name], np.float64)
        scale = max(1.0, float(np.abs(exact).max(initial=0.0)))
        off = float(np.abs(value.astype(np.float64) - exact).max(initial=0.0)) / scale
        if not off <= worst:  # NaN is the worst of all
            worst, where = off, name
    return worst, where


if __name__ == "__main__":
    main()
