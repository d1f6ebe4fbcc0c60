"""Measure training: ``python -m benchmarks.train [--quick] [--cases ...] --out DIR``.

The textbook loop and both twins run side by side, each in a process of its own, in
interleaved rounds. Nothing here asserts on time.
"""

import dataclasses
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tyro

from benchmarks import race, report, start_up
from benchmarks.race import Effort, Entry
from shared.config import Precision

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
    cases: tuple[Literal["small", "dcgan-64", "gan-64", "wgan-gp-64"], ...] = (
        "small",
        "dcgan-64",
        "gan-64",
        "wgan-gp-64",
    )
    """Training configurations."""
    device: str = "cpu"
    """cpu, cuda or cuda:N."""
    precisions: tuple[Precision, ...] = ()
    """Of the twins; by default float32, on a GPU with tf32 and bfloat16."""
    quick: bool = False
    """Two rounds instead of seven, of small products; short sweeps."""
    seconds: float = 2.0
    """Least length of each measurement."""
    data_dir: Path = Path("data")
    """Folder that caches the digits, with which the start is timed."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table and write the files.

    Args:
        argv: the arguments; None: the process's.
    """
    options = tyro.cli(Options, args=argv, prog="benchmarks.train", description=__doc__)
    results = measure(options)
    report.write(results, options.out)
    sys.stdout.write(report.table(results))


def measure(options: Options) -> dict[str, Any]:
    """All results, as `benchmarks.report` takes them."""
    effort = Effort(
        rounds=2 if options.quick else 7,
        seconds=options.seconds,
        matmul_size=_matmul_size(options),
    )
    device = options.device
    precisions = options.precisions or _PRECISIONS[device.partition(":")[0]]
    twins = [Entry(name, p) for p in precisions for name in ("torch", "jax")]
    races = []
    for case in options.cases:
        _say(f"racing on {case}")
        races += race.run_case(case, [Entry("textbook"), *twins], device, effort)
    sweeps = {}
    for field, values in (_QUICK_SWEEPS if options.quick else _SWEEPS).items():
        _say(f"sweeping {field}")
        sweeps[field] = race.run_sweep(twins, device, effort, field, values)
    _say("timing the start")
    start = {
        name: start_up.measure(name, device, options.data_dir.resolve())
        for name in ("torch", "jax")
    }
    return {
        "machine": describe_machine(device),
        "effort": dataclasses.asdict(effort),
        "races": races,
        "sweeps": sweeps,
        "start_up": start,
    }


def _matmul_size(options: Options) -> int:
    # Large enough to be the limit, small enough to take a moment.
    if options.device != "cpu":
        return 8192
    return 512 if options.quick else 2048


def describe_machine(device: str) -> str:
    """Processor and system, for the head of a table."""
    cores = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    if device == "cpu":
        return f"{_cpu_model()}, {cores}"
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    gpu = subprocess.run(query, capture_output=True, text=True, check=True).stdout
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
