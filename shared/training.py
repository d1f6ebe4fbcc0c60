"""The one training driver: data, loop, log, samples, checkpoints, signals.

It knows a twin only through `shared.backend.Backend`.
"""

import contextlib
import dataclasses
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any, Self

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
from shared.pictures import make_pictures
from shared.run_dir import RunDir, default_path

MakeBackend = Callable[[TrainConfig, DataInfo, str], Backend]


def train(options: TrainOptions, make_backend: MakeBackend, prog: str) -> None:
    """Start or resume a run, and leave its folder as `shared.run_dir` describes it.

    Args:
        options: what the user asked for.
        make_backend: the twin's backend class.
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
    run = RunDir(
        options.resume or options.run_dir or default_path(config.preset, config.dataset)
    )
    with contextlib.ExitStack() as locks:
        stored = None
        if options.resume is not None:
            # Before the state is read: until then another process may be adding to it.
            locks.enter_context(RunDir.open(run.path).lock())
            stored = _stored_state(run, config, data.info, total)
        backend = make_backend(config, data.info, options.device)
        if stored is None:
            arrays, step = initial_arrays(backend.shapes(), config.seed), 0
        else:
            arrays, step = stored.arrays, stored.step
            check_arrays(backend.shapes(), arrays, run.checkpoint_path(step))
        if options.resume is None:
            locks.enter_context(RunDir.create(run.path, config, data.info).lock())
        else:
            run.truncate_after(step)
            run.write_config(config, data.info)
        backend.load(arrays)
        backend.load_data(data)
        evaluate = None
        if config.evaluate_every:
            evaluate = (
                _evaluation().Evaluator(backend, config, data, options.data_dir).record
            )
        journal = locks.enter_context(Journal(run, config, options.tensorboard))
        training = _Training(config, data, total, run, backend, journal, evaluate, step)
        stopped_by = training.run_to_end()
        run.finish(f"{config.preset} on {config.dataset}")
        # The folder may be moved, so the report does not say where it is.
        report.write_report(run, resume_command(options, Path("RUN"), prog), prog)
    if stopped_by is None:
        sys.stderr.write(f"done: {run.path}/samples.png\n")
        return
    sys.stderr.write(
        f"stopped after {training.step} of {total} steps; continue with:\n"
        f"  {resume_command(options, run.path, prog)}\n"
    )
    sys.exit(128 + stopped_by)


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
    if (config.conditional or config.aux_classifier) and data.num_classes < 2:
        flag = "--conditional" if config.conditional else "--aux-classifier"
        raise UsageError(
            f"{flag}: needs labels of two classes or more, which --dataset"
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
            f" was started with ({stored_data.count} then, {data.count} now)"
        )
    if not run.checkpoint_steps():
        return None
    path = run.latest_checkpoint()
    stored = checkpoint.load(path)
    changes = {name: getattr(stored.config, name) for name in CHANGEABLE_ON_RESUME}
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


class _Training:
    """A run in progress."""

    def __init__(
        self,
        config: TrainConfig,
        data: ImageData,
        total: int,
        run: RunDir,
        backend: Backend,
        journal: Journal,
        evaluate: Callable[[], dict[str, float]] | None,
        step: int,
    ) -> None:
        self.config = config
        self.data = data.info
        self.total = total
        self.run = run
        self.backend = backend
        self.journal = journal
        self.evaluate = evaluate
        self.step = step
        self.saved = step if step else None
        self.pictures = make_pictures(config, data, run, backend)
        # Metrics of the last call; read only after the next call has been made, so
        # that the device always has work.
        self.pending: list[tuple[range, Mapping[str, Any]]] = []
        # Images per second are counted from here.
        self.clock = (step, time.perf_counter())

    def run_to_end(self) -> int | None:
        """Train; returns the number of the signal that stopped it early, or None."""
        self.pictures.begin()
        with _Signals() as signals, _Progress(self) as self.progress:
            if self.step == 0 and not self.run.sample_path(0).exists():
                self._sample()
            self._restart_clock()
            while self.step < self.total and signals.received is None:
                self._train_until(self._next_stop())
            self._read_metrics()
            if self.saved != self.step:
                self._save()
        if not self.run.sample_path(self.step).exists():
            self._sample()
        self.pictures.end()
        return signals.received if self.step < self.total else None

    def _next_stop(self) -> int:
        config = self.config
        every = (config.sample_every, config.save_every, config.evaluate_every)
        events = [(self.step // n + 1) * n for n in every if n]
        return min(self.total, self.step + self.backend.steps_per_call, *events)

    def _train_until(self, stop: int) -> None:
        steps = range(self.step, stop)
        draws = draw(
            self.config, self.data.channels, self.data.count, self.total, steps
        )
        metrics = self.backend.train(draws)
        self._read_metrics()
        self.pending.append((steps, metrics))
        self.step = stop
        config = self.config
        evaluates = self.evaluate is not None and stop % config.evaluate_every == 0
        if stop % config.sample_every and stop % config.save_every and not evaluates:
            return
        self._read_metrics()
        if stop % config.sample_every == 0:
            self._sample()
        if evaluates:
            self._evaluate()
        # After the scores: a process that is killed in between repeats both.
        if stop % config.save_every == 0 or evaluates:
            self._save()
        self._restart_clock()

    def _read_metrics(self) -> None:
        for steps, metrics in self.pending:
            # Sorted, because JAX sorts dictionaries and the twins' files are alike.
            values = {name: np.asarray(metrics[name]) for name in sorted(metrics)}
            for row, step in enumerate(steps):
                # Steps are counted by how many are done.
                record = {name: float(value[row]) for name, value in values.items()}
                self._log(step + 1, record)
        self.pending.clear()

    def _log(self, step: int, record: dict[str, float]) -> None:
        if not (math.isfinite(record["d_loss"]) and math.isfinite(record["g_loss"])):
            raise _diverged(
                f"step {step} has d_loss {record['d_loss']} and"
                f" g_loss {record['g_loss']}"
            )
        if step % self.config.log_every and step != self.total:
            return
        before, then = self.clock
        trained = (step - before) * self.config.batch_size * self.config.n_critic
        record["images_per_second"] = round(trained / (time.perf_counter() - then), 1)
        self.journal.log({"step": step, **record})
        self.progress.show(step, record)

    def _sample(self) -> None:
        record = self.pictures.draw(self.step)
        self.journal.log_samples({"step": self.step, **record})

    def _evaluate(self) -> None:
        assert self.evaluate is not None, "called only where there is one"
        self.journal.log_scores({"step": self.step, **self.evaluate()})

    def _save(self) -> None:
        arrays = self.backend.arrays()
        # The losses of a step are those before its updates, which may have failed.
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise _diverged(f"{name} is not finite after step {self.step}")
        state = Checkpoint(self.step, self.config, self.data, arrays)
        checkpoint.save(self.run.checkpoint_path(self.step), state)
        self.saved = self.step

    def _restart_clock(self) -> None:
        self.clock = (self.step, time.perf_counter())


def _diverged(what: str) -> TrainingError:
    return TrainingError(
        f"training has diverged: {what}; try lower learning rates, --clip-grad-norm"
        " or a penalty"
    )


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

    def show(self, step: int, record: Mapping[str, float]) -> None:
        """Report a logged step."""
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
