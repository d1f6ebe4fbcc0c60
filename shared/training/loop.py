"""The loop: calls of the twin, and what happens between them."""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from shared.config.schedules import intervals, is_saved
from shared.diagnosis.reference_check import ReferenceCheck
from shared.errors import Diverged
from shared.files.arrays import Arrays
from shared.run.checkpoint import Checkpoint
from shared.training.background import Background, prefetch
from shared.training.pipeline import Pipeline, StepMetrics
from shared.training.progress import Progress
from shared.training.recorder import Recorder
from shared.training.session import Prepared, Session
from shared.training.signals import Stop


@dataclasses.dataclass(frozen=True, kw_only=True)
class Onlookers:
    """Who looks on while a run trains, and changes nothing."""

    evaluate: Callable[[], dict[str, Any]] | None = None
    """Scores the networks as they are."""
    reference: ReferenceCheck | None = None
    """Judges the first steps."""
    progress: Progress = dataclasses.field(default_factory=Progress)
    """Is shown the logged steps."""
    on_record: Callable[[dict[str, Any]], object] | None = None
    """Is given the logged steps, in the thread that trains."""


class Training:
    """A run in progress.

    The device is kept at work: what a call needs is made ahead in a second thread, its
    metrics are awaited in a third, and a fourth writes them, and pictures and
    checkpoints, in the order in which they come.

    Args:
        session: what trains, in the state to start from.
        recorder: what becomes of all that comes of it.
        onlookers: who else is told.
        saved: the step whose state need not be saved; None: there is none.
    """

    def __init__(
        self,
        session: Session,
        recorder: Recorder,
        onlookers: Onlookers,
        saved: int | None,
    ) -> None:
        self._session = session
        self._config = session.config
        self._recorder = recorder
        self._onlookers = onlookers
        self._saved = saved
        step = session.step
        self._drawn = step if recorder.has_picture(step) else None
        self._pipeline = Pipeline(session)
        self._background = Background()

    def run_to_end(self, stop: Stop) -> int | None:
        """Train; returns the number of the signal that stopped it early, or None.

        Raises:
            Diverged: losses or weights are no longer finite.
        """
        session, every = self._session, self._config.sample_every
        self._recorder.begin()
        with (
            stop,
            self._onlookers.progress.begin(session.total, session.step, every),
            self._pipeline,
            self._background,
            contextlib.closing(prefetch(session.prepare, self._calls())) as calls,
        ):
            # What a process left undone that was killed right after a checkpoint.
            if session.step % every == 0 and self._drawn is None:
                self._draw()
            self._pipeline.restart_clock()
            for prepared in calls:
                if self._is_stopped(stop):
                    break
                self._train(prepared)
            self._take(self._pipeline.read())
            if self._saved != session.step:
                self._save(self._finite_arrays())
            if self._drawn != session.step:
                self._draw()
        self._recorder.end()
        return stop.received if session.step < session.total else None

    def _is_stopped(self, stop: Stop) -> bool:
        """Whether a signal has come, to any process of the run: all stop together."""
        received = self._session.backend.highest(stop.received or 0)
        if received:
            stop.received = received
        return bool(received)

    def _calls(self) -> Iterator[range]:
        """The steps of each call from here to the end."""
        step, total = self._session.step, self._session.total
        steps, every = self._session.steps_per_call, intervals(self._config)
        while step < total:
            stop = min(total, step + steps, *((step // n + 1) * n for n in every))
            yield range(step, stop)
            step = stop

    def _train(self, prepared: Prepared) -> None:
        self._take(self._pipeline.train(prepared))
        config, step = self._config, self._session.step
        draws = step % config.sample_every == 0
        evaluates = bool(config.evaluate_every) and step % config.evaluate_every == 0
        # After the scores: a process that is killed in between repeats both.
        saves = is_saved(config, step)
        if not (draws or evaluates or saves):
            return
        self._take(self._pipeline.read())
        if draws:
            self._draw()
        # Before the scores: what has failed gets none.
        arrays = self._finite_arrays() if saves else {}
        if evaluates:
            self._evaluate()
        if draws or evaluates:
            self._pipeline.restart_clock()
        if saves:
            self._save(arrays)

    def _take(self, metrics: list[StepMetrics]) -> None:
        for step, record in metrics:
            self._log(step, record)

    def _log(self, step: int, record: dict[str, float]) -> None:
        d_loss, g_loss = record["d_loss"], record["g_loss"]
        if not (math.isfinite(d_loss) and math.isfinite(g_loss)):
            what = f"step {step} has d_loss {d_loss} and g_loss {g_loss}"
            raise self._diverged(step, what)
        looks = self._onlookers
        if looks.reference and (verdict := looks.reference.see(step, record)):
            self._background.do(looks.progress.say, verdict)
        if step % self._config.log_every and step != self._session.total:
            return
        logged = {"step": step, **record, **self._pipeline.clock.take_rates()}
        self._background.do(self._write, logged)
        if looks.on_record is not None:
            looks.on_record(dict(logged))

    def _write(self, record: Mapping[str, Any]) -> None:
        self._recorder.log(record)
        self._onlookers.progress.show(record)

    def _draw(self) -> None:
        self._background.do(self._recorder.draw(self._session.step))
        self._drawn = self._session.step

    def _evaluate(self) -> None:
        evaluate = self._onlookers.evaluate
        assert evaluate is not None, "there is one where --evaluate-every is"
        backend = self._session.backend
        with backend.helped():
            scores = evaluate()
        # Of the process that scores; whoever has called may go by them in each.
        scores = {"step": self._session.step, **backend.agree(scores)}
        self._background.do(self._recorder.log_scores, scores)

    def _finite_arrays(self) -> Arrays:
        """A copy of the state, unless the run has diverged.

        The losses of a step are those before its updates, which may have failed.
        """
        arrays, step = self._session.backend.arrays(), self._session.step
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise self._diverged(step, f"{name} is not finite after step {step}")
        return arrays

    def _save(self, arrays: Arrays) -> None:
        session, step = self._session, self._session.step
        state = Checkpoint(
            step,
            self._config,
            session.data.info,
            arrays,
            rollbacks=session.rollbacks,
        )
        self._background.wait()  # so that no two states wait in memory
        self._background.do(self._recorder.save, state)
        self._saved = step

    def _diverged(self, step: int, what: str) -> Diverged:
        self._background.do(self._recorder.log_divergence, step)
        return Diverged(step, what)
