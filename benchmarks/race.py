"""Contestants against each other: interleaved rounds, medians and spreads."""

import contextlib
import dataclasses
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from benchmarks.cases import CASES
from benchmarks.flops import COUNTED, step_flops

_ROOT = Path(__file__).parents[1]
_WHATS = ("step", "step_with_data")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One contestant."""

    framework: str
    """``textbook``, ``torch``, ``jax``, or ``torch-eager``: without CUDA graphs."""
    precision: str = "float32"

    @property
    def name(self) -> str:
        """For tables and plots."""
        return f"{self.framework} {self.precision}"


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much time to spend."""

    rounds: int
    seconds: float
    """About how long one measurement takes."""
    matmul_size: int
    """Edge of the matrices whose product is the limit."""


class Worker:
    """A process with one contestant; closed, it is gone."""

    def __init__(self, case: str, entry: Entry, device: str, **changes: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )
        self._send(
            {
                "case": case,
                "changes": {"precision": entry.precision, **changes},
                "framework": entry.framework,
                "device": device,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The answer to one request of `benchmarks.worker`.

        Raises:
            RuntimeError: the worker died; what it said is on stderr.
        """
        self._send({"do": do, **arguments})
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker died at {do} {arguments}")
        return json.loads(answer)

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()


def run_case(
    case: str,
    entries: Sequence[Entry],
    device: str,
    effort: Effort,
    **changes: Any,
) -> list[dict[str, Any]]:
    """Race the entries on one case; a result for each.

    Every round asks every contestant in turn, so that what disturbs the machine for a
    while disturbs them all.

    Args:
        case: one of `CASES`.
        entries: contestants.
        device: where.
        effort: how much time to spend.
        **changes: fields of the case's configuration.
    """
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(Worker(case, entry, device, **changes))
            for entry in entries
        ]
        # One by one: while it opens, each has the machine and its GPU for itself.
        opened = [worker.ask("open") for worker in workers]
        # Before the limits are measured, which take memory of their own.
        memory = [worker.ask("memory") for worker in workers]
        rounds = [
            [_measure(worker, effort) for worker in workers]
            for _ in range(effort.rounds)
        ]
    config = dataclasses.replace(CASES[case].config, **changes)
    flops = None
    if config.architecture in COUNTED:
        # For each real image, which is what the rates count.
        flops = step_flops(config, CASES[case].channels) / config.n_critic
    return [
        {
            "case": ", ".join([case, *(f"{k} {v}" for k, v in changes.items())]),
            "framework": entry.framework,
            "precision": entry.precision,
            "flops_per_image": flops,
            **opened[i],
            "memory": memory[i],
            **_summary([measured[i] for measured in rounds], flops),
        }
        for i, entry in enumerate(entries)
    ]


def run_sweep(
    entries: Sequence[Entry], device: str, effort: Effort, field: str, values: list[int]
) -> list[dict[str, Any]]:
    """Throughput of the small case's step as one field of its configuration grows.

    Args:
        entries: contestants.
        device: where.
        effort: how much time to spend.
        field: ``batch_size`` or ``image_size``.
        values: of the field.
    """
    results = []
    for value in values:
        with contextlib.ExitStack() as stack:
            workers = [
                stack.enter_context(Worker("small", entry, device, **{field: value}))
                for entry in entries
            ]
            for worker in workers:
                worker.ask("open")
            rounds = [
                [
                    worker.ask("rate", what="step", seconds=effort.seconds)
                    for worker in workers
                ]
                for _ in range(effort.rounds)
            ]
        results += [
            {
                "contestant": entry.name,
                field: value,
                "images_per_second": spread(
                    [m[i]["images_per_second"] for m in rounds]
                ),
            }
            for i, entry in enumerate(entries)
        ]
    return results


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }


def _measure(worker: Worker, effort: Effort) -> dict[str, Any]:
    limits = worker.ask("limits", size=effort.matmul_size, repeats=3)
    rates = {w: worker.ask("rate", what=w, seconds=effort.seconds) for w in _WHATS}
    return {**limits, **rates}


def _summary(rounds: list[dict[str, Any]], flops: float | None) -> dict[str, Any]:
    summary: dict[str, Any] = {
        what: {
            unit: spread([measured[what][unit] for measured in rounds])
            for unit in ("images_per_second", "cores")
        }
        for what in _WHATS
    }
    summary["matmul_flops_per_second"] = spread([m["matmul"] for m in rounds])
    summary["copy_bytes_per_second"] = spread([m["copy"] for m in rounds])
    # Both from the same round, so that a busy machine cancels out.
    summary["share_of_matmul"] = flops and spread(
        [m["step"]["images_per_second"] * flops / m["matmul"] for m in rounds]
    )
    summary["share_spent_training"] = spread(
        [
            m["step_with_data"]["images_per_second"] / m["step"]["images_per_second"]
            for m in rounds
        ]
    )
    return summary
