"""One contestant in a process of its own, so that no other's threads or memory disturb.

Started by `benchmarks.race.Worker`: it reads one JSON request a line and answers each
with one line of JSON.
"""

import dataclasses
import importlib
import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.cases import CASES, Case
from benchmarks.contestants import Contestant, build
from benchmarks.limits import jax_limits, torch_limits

_Results = dict[str, Any]


def main() -> None:
    """Answer requests until the input ends."""
    # The answers have the output to themselves: whatever a library prints is no answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # JAX would take three quarters of a GPU's memory, which contestants share.
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    worker = _Worker(**json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("do"))(**request)
        answers.write(json.dumps(answer) + "\n")


class _Worker:
    """What can be asked of a contestant.

    Args:
        case: name of the case.
        changes: fields of its configuration to change.
        framework: ``textbook``, ``torch`` or ``jax``.
        device: name of a device, as that framework calls it.
    """

    contestant: Contestant

    def __init__(
        self, case: str, changes: dict[str, Any], framework: str, device: str
    ) -> None:
        config = dataclasses.replace(CASES[case].config, **changes)
        self.case: Case = dataclasses.replace(CASES[case], config=config)
        self.framework = framework
        self.device = device
        # Before it is asked: all contestants start at once, and open one by one.
        importlib.import_module("gans_jax" if framework == "jax" else "torch")

    def open(self) -> _Results:
        """Build the contestant and warm it up.

        Returns:
            Seconds that building, compiling and the first grid took.
        """
        start = time.perf_counter()
        self.contestant = build(self.case, self.framework, self.device)
        built = time.perf_counter()
        self._call(self.contestant.step)
        first = time.perf_counter()
        self._call(self.contestant.step)
        second = time.perf_counter()
        self.contestant.sample()
        grid = time.perf_counter()
        # On a GPU the twin in PyTorch records its steps after a few have been made.
        for _ in range(1 if self.device == "cpu" else 3):
            self._call(self.contestant.step_with_data)
        return {
            "build_seconds": built - start,
            # What the first call takes longer than the second one.
            "compile_seconds": max(0.0, 2 * first - built - second),
            "first_grid_seconds": grid - second,
        }

    def rate(self, what: str, seconds: float) -> _Results:
        """Throughput of one round.

        Args:
            what: ``step`` or ``step_with_data``.
            seconds: about how long to measure, one call at the least.

        Returns:
            Real images per second, and processor seconds for each second.
        """
        call = getattr(self.contestant, what)
        before = time.perf_counter()
        self._call(call)
        start, cpu_start = time.perf_counter(), time.process_time()
        # A number fixed beforehand: calls return at once, and a clock that is looked at
        # between them would let dozens of long ones queue up.
        calls = math.ceil(max(seconds, 1e-9) / (start - before))
        for _ in range(calls):
            call()
        self.contestant.wait()
        elapsed = time.perf_counter() - start
        return {
            "images_per_second": calls * self.contestant.images_per_call / elapsed,
            "cores": (time.process_time() - cpu_start) / elapsed,
        }

    def limits(self, size: int, repeats: int) -> _Results:
        """The device's own rates, at this case's precision."""
        measure = jax_limits if self.framework == "jax" else torch_limits
        precision = self.case.config.precision
        return measure(self.device, precision, size=size, repeats=repeats)._asdict()

    def memory(self) -> _Results:
        """Peak memory so far, in bytes: of the process, and on an accelerator."""
        # Linux counts in KiB, macOS in bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return {"host": peak, "device": _device_peak(self.framework, self.device)}

    def _call(self, call: Callable[[], None]) -> None:
        call()
        self.contestant.wait()


def _device_peak(framework: str, device: str) -> int | None:
    if device == "cpu":
        return None
    if framework == "jax":
        import jax

        index = int(device.partition(":")[2] or 0)
        return jax.devices(device.partition(":")[0])[index].memory_stats()[
            "peak_bytes_in_use"
        ]
    import torch

    return torch.cuda.max_memory_allocated(device)


if __name__ == "__main__":
    main()
