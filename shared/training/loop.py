"""The loop: calls of the twin, and what happens between them."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from shared.backend import Backend
from shared.config.train_config import TrainConfig
from shared.data.image_data import ImageData
from shared.diagnosis.reference_check import ReferenceCheck
from shared.errors import TrainingError
from shared.files.arrays import Arrays
from shared.randomness.draws import draw
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.run_dir import RunDir
from shared.training.background import Behind, ahead
from shared.training.clock import Clock
from shared.training.journal import Journal
from shared.training.pictures import make_pictures
from shared.training.progress import Progress
from shared.training.signals import Signals


class _Call(NamedTuple):
    """A call of `Backend.train` that has been made."""

    steps: range
    start: float
    """When it was made."""
    result: Future[tuple[Arrays, float]]
    """Its metrics, and when the device had them."""


class Training:
    """A run in progress.

    The device is kept at work: what a call needs is made ahead in a second thread, its
    metrics are awaited in a third, and a fourth writes them, and pictures and
    checkpoints, in the order in which they come.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: ImageData,
        total: int,
        run: RunDir,
        backend: Backend,
        journal: Journal,
        evaluate: Callable[[], dict[str, float]] | None,
        reference: ReferenceCheck | None,
        write_report: Callable[[], None],
        step: int,
    ) -> None:
        self.config = config
        self.data = data.info
        self.total = total
        self.run = run
        self.backend = backend
        self.journal = journal
        self.evaluate = evaluate
        self.reference = reference
        self.write_report = write_report
        self.step = step
        self.saved = step if step else None
        self.sampled = step if run.sample_path(step).exists() else None
        self.pictures = make_pictures(config, data, run, backend)
        # The last call; its metrics are read only after the next call has been made, so
        # that the device always has work.
        self.pending: _Call | None = None
        self.clock = Clock(config.images_per_step, step)

    def run_to_end(self) -> int | None:
        """Train; returns the number of the signal that stopped it early, or None."""
        self.pictures.begin()
        with (
            Signals() as signals,
            Progress(self) as self.progress,
            ThreadPoolExecutor(1, "metrics") as self.reader,
            Behind() as self.behind,
            contextlib.closing(ahead(self._prepare, self._calls())) as calls,
        ):
            if self.step == 0 and self.sampled is None:
                self._sample()
            self.clock.restart(self.step)
            for steps, inputs in calls:
                if signals.received is not None:
                    break
                self._train(steps, inputs)
            self._read_metrics()
            if self.saved != self.step:
                self._save()
            if self.sampled != self.step:
                self._sample()
        self.pictures.end()
        return signals.received if self.step < self.total else None

    def _calls(self) -> Iterator[range]:
        """The steps of each call from here to the end."""
        config, step = self.config, self.step
        every = (config.sample_every, config.save_every, config.evaluate_every)
        while step < self.total:
            events = [(step // n + 1) * n for n in every if n]
            stop = min(self.total, step + self.backend.steps_per_call, *events)
            yield range(step, stop)
            step = stop

    def _prepare(self, steps: range) -> tuple[range, Any]:
        draws = draw(
            self.config, self.data.channels, self.data.count, self.total, steps
        )
        return steps, self.backend.prepare(draws)

    def _train(self, steps: range, inputs: Any) -> None:
        start = time.perf_counter()
        read = self.backend.train(inputs)
        call = _Call(steps, start, self.reader.submit(_time, read))
        self._read_metrics()
        self.pending = call
        self.step = stop = steps.stop
        config = self.config
        samples = stop % config.sample_every == 0
        evaluates = self.evaluate is not None and stop % config.evaluate_every == 0
        # After the scores: a process that is killed in between repeats both.
        saves = stop % config.save_every == 0 or evaluates
        if not (samples or evaluates or saves):
            return
        self._read_metrics()
        if samples:
            self._sample()
        if evaluates:
            self._evaluate()
        if samples or evaluates:
            self.clock.restart(stop)
        if saves:
            self._save()

    def _read_metrics(self) -> None:
        if self.pending is None:
            return
        steps, start, result = self.pending
        self.pending = None
        metrics, end = result.result()
        self.clock.add(steps, start, end)
        for row, step in enumerate(steps):
            # Sorted, because JAX sorts dictionaries and the twins' files are alike.
            record = {name: float(metrics[name][row]) for name in sorted(metrics)}
            # Steps are counted by how many are done.
            self._log(step + 1, record)

    def _log(self, step: int, record: dict[str, float]) -> None:
        if not (math.isfinite(record["d_loss"]) and math.isfinite(record["g_loss"])):
            raise self._diverged(
                step,
                f"step {step} has d_loss {record['d_loss']} and"
                f" g_loss {record['g_loss']}",
            )
        if self.reference and (verdict := self.reference.see(step, record)):
            self.behind.do(tqdm.write, verdict, file=sys.stderr)
        if step % self.config.log_every and step != self.total:
            return
        record |= self.clock.rates()
        self.behind.do(self._write, {"step": step, **record})

    def _write(self, record: Mapping[str, Any]) -> None:
        self.journal.log(record)
        self.progress.show(record)

    def _sample(self) -> None:
        step, finish = self.step, self.pictures.draw(self.step)
        self.behind.do(lambda: self.journal.log_samples({"step": step, **finish()}))
        self.sampled = step

    def _evaluate(self) -> None:
        assert self.evaluate is not None, "called only where there is one"
        scores = {"step": self.step, **self.evaluate()}
        self.behind.do(self.journal.log_scores, scores)

    def _save(self) -> None:
        arrays = self.backend.arrays()
        # The losses of a step are those before its updates, which may have failed.
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise self._diverged(
                    self.step, f"{name} is not finite after step {self.step}"
                )
        state = Checkpoint(self.step, self.config, self.data, arrays)
        self.behind.wait()  # so that no two states wait in memory
        self.behind.do(checkpoint.save, self.run.checkpoint_path(self.step), state)
        # A run that is killed leaves a page too, and one that goes on can be looked at.
        self.behind.do(self.write_report)
        self.saved = self.step

    def _diverged(self, step: int, what: str) -> TrainingError:
        self.behind.do(self.journal.log_divergence, step)
        return TrainingError(
            f"training has diverged: {what}; try lower learning rates,"
            " --clip-grad-norm or a penalty"
        )


def _time(read: Callable[[], Arrays]) -> tuple[Arrays, float]:
    return read(), time.perf_counter()
