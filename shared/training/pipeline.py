"""Calls of the twin, one after the other, so that the device always has work."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import NamedTuple, Self

from shared.files.arrays import Arrays
from shared.training.clock import Clock
from shared.training.processes import keep, processes
from shared.training.session import Prepared, Session

# The metrics of a step, and how many steps were done with it.
StepMetrics = tuple[int, dict[str, float]]
# What reads the metrics of a call, and what takes them, with when the device had them.
_Timed = Future[tuple[Arrays, float]]
_Reading = tuple[Callable[[], Arrays], _Timed]

# So long what is under way may end, where it may be a message to one that is gone.
_FAREWELL_SECONDS = 2


class _Call(NamedTuple):
    """A call that has been made."""

    steps: range
    start: float
    """When it was made."""
    result: _Timed
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
        self._readings: SimpleQueue[_Reading | None] = SimpleQueue()
        # No executor's: Python, too, would wait for that one at its end.
        self._reader = threading.Thread(
            target=_read, args=(self._readings,), name="metrics", daemon=True
        )
        self._reader.start()
        return self

    def __exit__(self, error: object, *details: object) -> None:
        self._readings.put(None)
        # A GPU waits for ever for a process that is gone.
        ends = error is None or processes().count == 1
        self._reader.join(None if ends else _FAREWELL_SECONDS)

    def train(self, prepared: Prepared) -> list[StepMetrics]:
        """Make a call; returns the metrics of the call before, step by step."""
        start = time.perf_counter()
        read = self._session.train(prepared)
        call = _Call(prepared.steps, start, Future())
        self._readings.put((read, call.result))
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


def _read(readings: "SimpleQueue[_Reading | None]") -> None:
    while (reading := readings.get()) is not None:
        read, result = reading
        keep(lambda read=read: (read(), time.perf_counter()), result)
