"""The one training driver: data, loop, log, samples, checkpoints, signals.

It knows a twin only through `shared.backend.Backend`.
"""

import dataclasses
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from shared import checkpoint, datasets, images, noise, schedules
from shared.backend import Arrays, Backend, DataInfo, ImageData
from shared.checkpoint import Checkpoint
from shared.cli import TrainOptions
from shared.config import CHANGEABLE_ON_RESUME, TrainConfig, refuse
from shared.draws import draw
from shared.errors import TrainingError, UsageError
from shared.initial import initial_arrays
from shared.run_dir import RunDir, default_path

MakeBackend = Callable[[TrainConfig, DataInfo, str], Backend]

_GRID_COLUMNS = 8
_GRID_ROWS = 8


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
    stored = None
    if options.resume is not None:
        stored = _load_for_resuming(RunDir.open(run.path), config, data.info, total)
    backend = make_backend(config, data.info, options.device)
    if stored is None:
        arrays, step = initial_arrays(backend.shapes(), config.seed), 0
        RunDir.create(run.path, config, data.info)
    else:
        arrays, step = stored.arrays, stored.step
        check_arrays(backend.shapes(), arrays, run.path)
    with run.lock():
        if stored is not None:
            run.truncate_after(step)
            run.write_config(config, data.info)
        backend.load(arrays)
        backend.load_data(data)
        _Training(config, data, total, run, backend, prog, step).run_to_end()


def check_data(config: TrainConfig, data: DataInfo) -> None:
    """Refuse what the data cannot give.

    Raises:
        UsageError: a batch larger than the data, or labels that are not there.
    """
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


def draw_images(
    backend: Backend, z: NDArray[np.float32], labels: NDArray[np.int32] | None
) -> NDArray[np.uint8]:
    """Images of latents, [count, height, width, channels], in batches of 64."""
    batches = [slice(i, i + 64) for i in range(0, len(z), 64)]
    drawn = [
        backend.sample(z[batch], None if labels is None else labels[batch])
        for batch in batches
    ]
    return images.to_uint8(np.concatenate(drawn))


def _load_for_resuming(
    run: RunDir, config: TrainConfig, data: DataInfo, total: int
) -> Checkpoint:
    path = run.latest_checkpoint()
    stored = checkpoint.load(path)
    changes = {name: getattr(stored.config, name) for name in CHANGEABLE_ON_RESUME}
    if dataclasses.replace(config, **changes) != stored.config:
        raise UsageError(f"{path}: belongs to a run of another configuration")
    if stored.data != data:
        raise UsageError(
            f"--dataset {config.dataset}: holds other images than those that the run"
            f" was started with ({stored.data.count} then, {data.count} now)"
        )
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
        prog: str,
        step: int,
    ) -> None:
        self.config = config
        self.data = data.info
        self.total = total
        self.run = run
        self.backend = backend
        self.prog = prog
        self.step = step
        self.saved = step if step else None
        self.z, self.labels = _fixed_inputs(config, data.info)
        # Metrics of the last call; read only after the next call has been made, so
        # that the device always has work.
        self.pending: list[tuple[range, Mapping[str, Any]]] = []
        self.logged_at = (step, time.perf_counter())

    def run_to_end(self) -> None:
        if self.step == 0:
            self._sample()
        with _Signals() as signals, _Progress(self) as self.progress:
            while self.step < self.total and signals.received is None:
                self._train_until(self._next_stop())
            self._read_metrics()
            if self.saved != self.step:
                self._save()
        if self.step % self.config.sample_every or self.total == self.saved:
            self._sample()
        self.run.finish(f"{self.config.preset} on {self.config.dataset}")
        if signals.received is not None:
            sys.stderr.write(
                f"stopped after {self.step} of {self.total} steps; continue with:\n"
                f"  python -m {self.prog} --resume {self.run.path}\n"
            )
            sys.exit(128 + signals.received)
        sys.stderr.write(f"done: {self.run.path}/samples.png\n")

    def _next_stop(self) -> int:
        every = (self.config.sample_every, self.config.save_every)
        events = [(self.step // n + 1) * n for n in every]
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
        if stop % self.config.sample_every == 0:
            self._read_metrics()
            self._sample()
        if stop % self.config.save_every == 0:
            self._read_metrics()
            self._save()

    def _read_metrics(self) -> None:
        for steps, metrics in self.pending:
            values = {name: np.asarray(value) for name, value in metrics.items()}
            for row, step in enumerate(steps):
                # Steps are counted by how many are done.
                record = {name: float(value[row]) for name, value in values.items()}
                self._log(step + 1, record)
        self.pending.clear()

    def _log(self, step: int, record: dict[str, float]) -> None:
        if not (math.isfinite(record["d_loss"]) and math.isfinite(record["g_loss"])):
            raise TrainingError(
                f"training has diverged: step {step} has d_loss {record['d_loss']} and"
                f" g_loss {record['g_loss']}; try lower learning rates,"
                " --clip-grad-norm or a penalty"
            )
        if step % self.config.log_every and step != self.total:
            return
        before, then = self.logged_at
        now = time.perf_counter()
        self.logged_at = (step, now)
        trained = (step - before) * self.config.batch_size * self.config.n_critic
        record["images_per_second"] = round(trained / (now - then), 1)
        self.run.append_metrics({"step": step, **record})
        self.progress.show(step, record)

    def _sample(self) -> None:
        drawn = draw_images(self.backend, self.z, self.labels)
        grid = images.grid(drawn, columns=_GRID_COLUMNS)
        images.save_png(self.run.sample_path(self.step), grid)

    def _save(self) -> None:
        state = Checkpoint(self.step, self.config, self.data, self.backend.arrays())
        checkpoint.save(self.run.checkpoint_path(self.step), state)
        self.saved = self.step


def _fixed_inputs(
    config: TrainConfig, data: DataInfo
) -> tuple[NDArray[np.float32], NDArray[np.int32] | None]:
    """Latents of the sample grids, and labels: a class for each row."""
    rows = data.num_classes if config.conditional else _GRID_ROWS
    count = rows * _GRID_COLUMNS
    z = noise.normal(config.seed, "fixed latents", 0, count, config.z_dim)
    if not config.conditional:
        return z, None
    return z, np.arange(rows, dtype=np.int32).repeat(_GRID_COLUMNS)


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
        self._log_every = training.config.sample_every

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
        elif step % self._log_every == 0 or step == self._total:
            sys.stderr.write(f"step {step}/{self._total}  {text}\n")


def _describe(record: Mapping[str, float]) -> Iterator[str]:
    yield f"D loss {record['d_loss']:.3f}"
    yield f"G loss {record['g_loss']:.3f}"
    yield f"D(x) {record['d_real']:.2f}"
    yield f"D(G(z)) {record['d_fake_before']:.2f}/{record['d_fake_after']:.2f}"
    yield f"{record['images_per_second']:.0f} images/s"
