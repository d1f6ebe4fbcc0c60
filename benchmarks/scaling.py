"""What several devices send and gain: ``python -m benchmarks.scaling``.

Counts, for each preset, what two devices add up in a step. Then trains on one process
and on two, with one thread each, that take turns, so that what else the machine does
meets all alike; only ratios of their times are shown.
"""

import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from benchmarks import command_line, messages
from benchmarks.train import describe_machine
from parity_tests.harness.devices import environments, meeting_place
from shared.config.presets import PRESETS

_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to count and to measure."""

    counted: tuple[str, ...] = tuple(PRESETS)
    """Presets whose messages are counted."""
    timed: tuple[str, ...] = ("ring", "quick")
    """Presets that are trained."""
    twins: tuple[str, ...] = ("torch", "jax")
    """torch, jax."""
    rounds: int = 7
    """In each of which every group of processes has a turn."""
    steps: int = 10
    """In a turn."""
    data_dir: Path = Path("data")
    """Folder of data sets."""


class Ratios(NamedTuple):
    """Times of two processes, in those of one with the preset's batch."""

    strong: float
    """They share its batch."""
    weak: float
    """Each has as many samples as the one."""


def main(argv: Sequence[str] | None = None) -> None:
    """Count, measure, and print tables.

    Args:
        argv: the arguments; None: the process's.
    """
    with command_line.run(Options, argv, "scaling", __doc__) as options:
        for line in _lines(options):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


def _lines(options: Options) -> Iterator[str]:
    command_line.check_known("counted", options.counted, PRESETS)
    command_line.check_known("timed", options.timed, PRESETS)
    command_line.check_known("twins", options.twins, ("torch", "jax"))
    command_line.check_above_0(options, "rounds", "steps")
    yield "| preset | twin | sums | of a single number | bytes | of them gradients |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for preset in options.counted:
        for twin in options.twins:
            sums, numbers, size, gradients = messages.count(twin, preset)
            sizes = f"{_size(size)} | {_size(gradients)}"
            yield f"| `{preset}` | {twin} | {sums} | {numbers} | {sizes} |"
    yield ""
    yield describe_machine("cpu")
    yield ""
    yield "| preset | twin | the same batch | each as many samples |"
    yield "| --- | --- | --- | --- |"
    for preset in options.timed:
        for twin in options.twins:
            strong, weak = measure(twin, preset, options)
            yield f"| `{preset}` | {twin} | {strong:.2f} | {weak:.2f} |"


def _size(size: int) -> str:
    return f"{size / 1e6:.3g} MB" if size >= 1e6 else f"{size / 1e3:.3g} kB"


def measure(twin: str, preset: str, options: Options) -> Ratios:
    """How long two processes take for a step, beside one.

    Args:
        twin: ``torch`` or ``jax``.
        preset: its name.
        options: how often, and how long.
    """
    size = PRESETS[preset].batch_size
    with contextlib.ExitStack() as held:
        groups = [
            held.enter_context(_Group(twin, preset, batch, count, options))
            for count, batch in ((1, size), (2, size), (2, 2 * size))
        ]
        rounds = [
            [group.seconds(options.steps) for group in groups]
            for _ in range(options.rounds)
        ]
    one, strong, weak = (
        statistics.median(times) for times in zip(*rounds, strict=True)
    )
    return Ratios(strong / one, weak / one)


class _Group:
    """Processes that train together.

    Args:
        twin: ``torch`` or ``jax``.
        preset: what they train by.
        batch_size: of the whole batch.
        count: how many they are.
        options: where the data are.
    """

    def __init__(
        self, twin: str, preset: str, batch_size: int, count: int, options: Options
    ) -> None:
        words = [twin, preset, str(batch_size), str(options.data_dir.resolve())]
        command = [sys.executable, "-m", "benchmarks.scaling_worker", *words]
        self._held = contextlib.ExitStack()
        place = self._held.enter_context(meeting_place())
        self._processes = [
            subprocess.Popen(
                command,
                env=os.environ | environment,
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for environment in _environments(count, place)
        ]

    def __enter__(self) -> "_Group":
        self.seconds(1)  # they have started, and compiled
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            _stream(process.stdin).close()
        for process in self._processes:
            process.wait()
            _stream(process.stdout).close()
        self._held.close()

    def seconds(self, steps: int) -> float:
        """What so many steps take.

        Raises:
            RuntimeError: a process has died.
        """
        for process in self._processes:
            _stream(process.stdin).write(f"{steps}\n")
            _stream(process.stdin).flush()
        answers = [_stream(process.stdout).readline() for process in self._processes]
        if not all(answers):
            raise RuntimeError("a process has died; its error is above")
        return max(map(float, answers))


def _stream(stream: IO[Any] | None) -> IO[Any]:
    assert stream is not None, "it is a pipe"
    return stream


def _environments(count: int, place: str) -> list[dict[str, str]]:
    """What tells each process of the others, if there are any, and where they meet."""
    return environments(count, True, place) if count > 1 else [{"OMP_NUM_THREADS": "1"}]


if __name__ == "__main__":
    main()
