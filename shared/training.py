"""The one training driver: data, loop, log, samples, checkpoints, signals.

It knows a twin only through `shared.backend.Backend`.
"""

import contextlib
import dataclasses
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from tqdm import tqdm

from shared import checkpoint, datasets, report, schedules
from shared.backend import Arrays, Backend, DataInfo, ImageData
from shared.checkpoint import Checkpoint
from shared.cli import TrainOptions, resume_command
from shared.config import CHANGEABLE_ON_RESUME, TrainConfig, refuse
from shared.draws import draw
from shared.errors import TrainingError, UsageError
from shared.initial import initial_arrays
from shared.journal import Journal
from shared.overlap import Behind, ahead
from shared.pictures import make_pictures
from shared.reference import ReferenceCheck
from shared.run_dir import RunDir, default_path

MakeBackend = Callable[[TrainConfig, DataInfo, str], Backend]


def train(options: TrainOptions, make_backend: MakeBackend, prog: str) -> None:
    """Start or resume a run, and leave its folder as `shared.run_dir` describes it.

    Args:
        options: what the user asked for.
        make_backend: makes the twin's backend.
        prog: how the user calls the program, to say how to resume.

    Raises:
        UsageError: the options do not fit the data, the device or the stored run.
        TrainingError: the losses are no longer finite.
        SystemExit: stopped by a signal, with 128 + its number, after saving.
    """
    config = options.config
    data = datasets.load(config.dataset, config.image_size, options.data_dir)
    check_data(config, data.info)
    total = schedules.total_steps(config, data.info.count)
    reference = ReferenceCheck(config) if options.check_reference else None
    twin = prog.partition(".")[0]
    with contextlib.ExitStack() as locks:
        resumed = stored = None
        if options.resume is not None:
            resumed = RunDir.open(options.resume)
            # Before the state is read: until then another process may be adding to it.
            locks.enter_context(resumed.lock())
            stored = _stored_state(resumed, config, data.info, total)
        backend = make_backend(config, data.info, options.device)
        if stored is None:
            arrays, step = initial_arrays(backend.shapes(), config.seed), 0
        else:
            arrays, step = stored.arrays, stored.step
        if resumed is None:
            run = _new_run(options.run_dir, config, data.info, twin)
            locks.enter_context(run.lock())
        else:
            run = resumed
            check_arrays(backend.shapes(), arrays, run.checkpoint_path(step))
            run.truncate_after(step)
            run.write_config(config, data.info, twin)
        backend.load(arrays)
        backend.load_data(data, options.data_on)
        evaluate = None
        if config.evaluate_every:
            make_evaluator = _evaluation().make_evaluator
            evaluate = make_evaluator(backend, config, data, options.data_dir).record
        journal = locks.enter_context(Journal(run, config, options.tensorboard))

        def write_report() -> None:
            # The folder may be moved, so the report does not say where it is.
            report.write_report(run, resume_command(options, Path("RUN"), prog), prog)

        def finish() -> None:
            run.finish(config.title)
            write_report()

        training = _Training(
            config,
            data,
            total,
            run,
            backend,
            journal,
            evaluate,
            reference,
            write_report,
            step,
        )
        resume = resume_command(options, run.path, prog)
        try:
            stopped_by = training.run_to_end()
        except TrainingError:
            finish()
            raise
        except KeyboardInterrupt:
            sys.stderr.write(f"stopped; continue from what was saved:\n  {resume}\n")
            raise
        journal.conclude()
        finish()
    if stopped_by is None:
        sys.stderr.write(f"done: {run.path}/samples.png\n")
        return
    sys.stderr.write(
        f"stopped after {training.step} of {total} steps; continue with:\n  {resume}\n"
    )
    sys.exit(128 + stopped_by)


def _new_run(
    path: Path | None, config: TrainConfig, data: DataInfo, twin: str
) -> RunDir:
    """A new run's folder: the one that was asked for, or the next that is free."""
    if path is not None:
        return RunDir.create(path, config, data, twin)
    while True:
        path = default_path(config.preset, config.dataset)
        try:
            return RunDir.create(path, config, data, twin)
        except UsageError:
            # Another process may have taken it meanwhile: then there is a next one.
            if path == default_path(config.preset, config.dataset):
                raise


def _evaluation() -> ModuleType:
    # Imported where it is wanted: it takes long, and stands above this module.
    from shared import evaluation

    return evaluation


def check_data(config: TrainConfig, data: DataInfo) -> None:
    """Refuse what the data cannot give.

    Raises:
        UsageError: a batch larger than the data, or labels that are not there.
    """
    if config.evaluate_every:
        _evaluation().check_data(config, data)
    if config.batch_size > data.count:
        raise refuse(
            "batch_size",
            config.batch_size,
            f"must be at most the {data.count} images of --dataset {config.dataset}",
        )
    if config.conditional and data.num_classes < 2:
        raise UsageError(
            "--conditional: needs labels of two classes or more, which --dataset"
            f" {config.dataset} does not have"
        )


def check_arrays(
    shapes: dict[str, tuple[int, ...]], arrays: Arrays, path: Path
) -> None:
    """Refuse a checkpoint whose arrays are not those of the networks.

    Raises:
        UsageError: an array is missing or of another shape.
    """
    for name, shape in shapes.items():
        found = arrays[name].shape if name in arrays else "missing"
        if found != shape:
            raise UsageError(
                f"{path}: the checkpoint's {name} is {found}, its configuration"
                f" needs {shape}"
            )


def _stored_state(
    run: RunDir, config: TrainConfig, data: DataInfo, total: int
) -> Checkpoint | None:
    """The last checkpoint; None of a run that was stopped before its first."""
    _, stored_data = run.read_config()
    if stored_data != data:
        raise UsageError(
            f"--dataset {config.dataset}: holds other images than those that the run"
            f" was started with ({_digest(stored_data)} then, {_digest(data)} now)"
        )
    if not run.checkpoint_steps():
        return None
    path = run.latest_checkpoint()
    stored = checkpoint.load(path)
    # A folder of images may have been moved: its content was compared above.
    may_differ = CHANGEABLE_ON_RESUME | {"dataset"}
    changes = {name: getattr(stored.config, name) for name in may_differ}
    if (dataclasses.replace(config, **changes), data) != (stored.config, stored.data):
        raise UsageError(f"{path}: belongs to a run of another configuration or data")
    if total < stored.step:
        given = "epochs" if config.steps is None else "steps"
        raise refuse(
            given,
            getattr(config, given),
            f"the run has already done {stored.step} steps",
        )
    return stored


def _digest(data: DataInfo) -> str:
    return f"{data.count} of digest {data.sha256[:8]}"


class _Call(NamedTuple):
    """A call of `Backend.train` that has been made."""

    steps: range
    start: float
    """When it was made."""
    result: Future[tuple[Arrays, float]]
    """Its metrics, and when the device had them."""


class _Training:
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
        self.clock = _Clock(config.images_per_step, step)

    def run_to_end(self) -> int | None:
        """Train; returns the number of the signal that stopped it early, or None."""
        self.pictures.begin()
        with (
            _Signals() as signals,
            _Progress(self) as self.progress,
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


class _Clock:
    """How fast the calls follow each other.

    Left out is the time in which the device draws grids and evaluates.

    Args:
        images: real images that D is trained on in each step, on average.
        step: where the run starts.
    """

    def __init__(self, images: float, step: int) -> None:
        self._images = images
        self.restart(step)

    def restart(self, step: int) -> None:
        """Measure from here."""
        self._first = self._last = step
        self._start = self._free = time.perf_counter()
        self._waited = 0.0

    def add(self, steps: range, start: float, end: float) -> None:
        """Take in a call: when it was made, and when the device had done it."""
        self._last = steps.stop
        # Made while the call before was under way, it found the device at work.
        self._waited += max(0.0, start - self._free)
        self._free = end

    def rates(self) -> dict[str, float]:
        """Images per second; and the share of the time when the device had no call."""
        seconds = self._free - self._start
        trained = (self._last - self._first) * self._images
        return {
            "images_per_second": round(trained / seconds, 1),
            "wait_share": round(self._waited / seconds, 3),
        }


class _Signals:
    """Notes the first Ctrl-C or SIGTERM; a second one acts as usual."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python lets no other thread handle signals.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()
        # Not by way of sys.stderr, which the signal may have interrupted.
        os.write(2, b"\nsaving, after this step; again: stop without saving\n")

    def _restore(self) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)


class _Progress:
    """A progress bar on a terminal, else a quiet log."""

    def __init__(self, training: _Training) -> None:
        self._bar = tqdm(
            total=training.total,
            initial=training.step,
            unit="step",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )
        self._total = training.total
        self._every = training.config.sample_every
        self._last = training.step

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()

    def show(self, record: Mapping[str, Any]) -> None:
        """Report a logged step."""
        step = record["step"]
        text = "  ".join(_describe(record))
        if not self._bar.disable:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(step - self._bar.n)
        elif step // self._every > self._last // self._every or step == self._total:
            sys.stderr.write(f"step {step}/{self._total}  {text}\n")
            self._last = step


def _describe(record: Mapping[str, float]) -> Iterator[str]:
    yield f"D loss {record['d_loss']:.3f}"
    yield f"G loss {record['g_loss']:.3f}"
    yield f"D(x) {record['d_real']:.2f}"
    yield f"D(G(z)) {record['d_fake_before']:.2f}/{record['d_fake_after']:.2f}"
    yield f"{record['images_per_second']:.0f} images/s"
