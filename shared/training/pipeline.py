"""Calls of the twin, one after the other, so that the device always has work."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Self

from shared.files.arrays import Arrays
from shared.training.clock import Clock
from shared.training.session import Prepared, Session

# The metrics of a step, and how many steps were done with it.
StepMetrics = tuple[int, dict[str, float]]


class _Call(NamedTuple):
    """A call that has been made."""

    steps: range
    start: float
    """When it was made."""
    result: Future[tuple[Arrays, float]]
    """Its metrics, and when the device had them."""


class Pipeline:
    """Makes calls, and reads the metrics of each only after the next has been made.

    Args:
        session: what trains.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._last: _Call | None = None
        self.clock = Clock(session.config.images_per_step, session.step)

    def __enter__(self) -> Self:
        self._reader = ThreadPoolExecutor(1, "metrics")
        return self

    def __exit__(self, *error: object) -> None:
        self._reader.shutdown()

    def train(self, prepared: Prepared) -> list[StepMetrics]:
        """Make a call; returns the metrics of the call before, step by step."""
        start = time.perf_counter()
        read = self._session.train(prepared)
        call = _Call(prepared.steps, start, self._reader.submit(_time, read))
        metrics = self.read()
        self._last = call
        return metrics

    def read(self) -> list[StepMetrics]:
        """Wait for the last call; returns its metrics, once."""
        if self._last is None:
            return []
        steps, start, result = self._last
        self._last = None
        metrics, end = result.result()
        self.clock.add(steps, start, end)
        # Sorted, because JAX sorts dictionaries and the twins' files are alike. Steps
        # are counted by how many are done.
        return [
            (step + 1, {name: float(metrics[name][row]) for name in sorted(metrics)})
            for row, step in enumerate(steps)
        ]

    def restart_clock(self) -> None:
        """Measure the speed from here."""
        self.clock.restart(self._session.step)


def _time(read: Callable[[], Arrays]) -> tuple[Arrays, float]:
    return read(), time.perf_counter()
