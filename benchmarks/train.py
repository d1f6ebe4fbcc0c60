"""Measure training: ``python -m benchmarks.train [--quick] [--cases ...] --out DIR``.

The textbook loop and both twins run side by side, each in a process of its own, in
interleaved rounds. Nothing here asserts on time. What has been measured is written as
it comes, so that a run that is stopped has not been for nothing.
"""

import dataclasses
import itertools
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from benchmarks import command_line, race, report, start_up
from benchmarks.race import Effort, Entry
from shared.config.choices import Precision
from shared.config.flags import refuse

_Case = Literal[
    "small", "dcgan-64", "gan-64", "wgan-gp-64", "sngan-32", "r3gan", "stylegan2"
]
_SWEEPS = {"batch_size": [16, 32, 64, 128, 256], "image_size": [16, 32, 64, 128]}
_QUICK_SWEEPS = {"batch_size": [16, 64], "image_size": [16, 32]}
# On a CPU the other precisions are there for proofs, not for speed.
_PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "cpu": ("float32",),
    "cuda": ("float32", "tf32", "bfloat16"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure, and where to write it."""

    out: Path
    """Folder for results.json, table.txt and throughput.png."""
    cases: tuple[_Case, ...] = get_args(_Case)
    """Training configurations."""
    device: str = "cpu"
    """cpu, cuda or cuda:N."""
    precisions: tuple[Precision, ...] = ()
    """Of the twins; by default float32, on a GPU with tf32 and bfloat16."""
    batch_sizes: tuple[int, ...] = ()
    """Race the twins, on each of the cases, with these batches too."""
    rounds: int | None = None
    """Of each race, in which everyone has a turn; without it, 7, or 2 with --quick."""
    sweeps: bool = True
    """Whether to measure how throughput grows with batch and image size."""
    quick: bool = False
    """Few rounds, small products, short sweeps."""
    seconds: float = 2.0
    """About how long each measurement takes."""
    data_dir: Path = Path("data")
    """Folder that caches the digits, with which the start is timed."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table and write the files.

    Args:
        argv: the arguments; None: the process's.
    """
    with command_line.run(Options, argv, "train", __doc__, report.FILES) as options:
        for results in measure(options):
            report.write(results, options.out)
        sys.stdout.write(report.table(results))


def measure(options: Options) -> Iterator[dict[str, Any]]:
    """The results so far, again and again, as `benchmarks.report` takes them.

    Raises:
        UsageError: there is no such device; rounds or batches are of nothing.
    """
    command_line.check_above_0(options, "rounds", "batch_sizes")
    device = options.device
    machine = describe_machine(device)
    kind = device.partition(":")[0]
    effort = Effort(
        rounds=options.rounds or (2 if options.quick else 7),
        seconds=options.seconds,
        matmul_size=_matmul_size(options),
    )
    twins = [
        Entry(name, precision)
        for precision in options.precisions or _PRECISIONS[kind]
        for name in ("torch", "jax")
    ]
    # Of the textbook's PyTorch on a GPU, convolutions use TF32 unless told not to.
    textbook = Entry("textbook", "float32" if kind == "cpu" else "tf32")
    results: dict[str, Any] = {
        "machine": machine,
        "effort": dataclasses.asdict(effort),
        "races": [],
        "sweeps": {},
        "start_up": {},
    }
    for case in options.cases:
        _say(f"racing on {case}")
        results["races"] += race.run_case(case, [textbook, *twins], device, effort)
        yield results
    for case, size in itertools.product(options.cases, options.batch_sizes):
        _say(f"racing on {case} with batches of {size}")
        results["races"] += race.run_case(case, twins, device, effort, batch_size=size)
        yield results
    _say("timing the start")
    for name in ("torch", "jax"):
        data_dir = options.data_dir.resolve()
        results["start_up"][name] = start_up.measure(name, device, data_dir)
    yield results
    if options.sweeps:
        for field, values in (_QUICK_SWEEPS if options.quick else _SWEEPS).items():
            _say(f"sweeping {field}")
            found = race.run_sweep(twins, device, effort, field, values)
            results["sweeps"][field] = found
            yield results


def _matmul_size(options: Options) -> int:
    # Large enough to be the limit, small enough to take a moment.
    if options.device != "cpu":
        return 8192
    return 512 if options.quick else 2048


def describe_machine(device: str) -> str:
    """Processor and system, for the head of a table.

    Raises:
        UsageError: the device is neither the CPU nor a CUDA GPU that is here.
    """
    command_line.check_known("device", [device.partition(":")[0]], _PRECISIONS)
    cores = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    if device == "cpu":
        return f"{_cpu_model()}, {cores}"
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        gpu = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise refuse("device", device, "nvidia-smi finds no GPU") from None
    return f"{gpu.strip()}; {cores}"


def _cpu_model() -> str:
    # platform.processor() is empty on most Linux systems.
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
