"""Training on data in memory."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared import plugins, sizes
from shared.backend import MakeBackend
from shared.config.arguments import about, without_flags
from shared.config.choices import ARRAYS, DataPlace, Keep, OnNan, WhichStep, is_keep
from shared.config.flags import refuse
from shared.config.limits import check_threads
from shared.config.resume import check_resumed
from shared.config.run_options import handed_on
from shared.config.train_config import TrainConfig
from shared.data.image_data import ImageData, check_whole
from shared.data.reading import Reading, reading_of
from shared.drawing import figures
from shared.errors import UsageError
from shared.library.generators import Run, find_state
from shared.report import page
from shared.run.checkpoint import Checkpoint
from shared.run.outputs import check_apart
from shared.run.run_dir import RunDir
from shared.training import driver
from shared.training.driver import TrainedRun
from shared.training.places import Keeping, Memory, NewFolder, OldFolder, Place
from shared.training.progress import Progress, TerminalProgress


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How `fit` trains, besides what and where."""

    resume: Run | None
    allow_new_data: bool
    step: WhichStep | None
    keep: Keep | None
    device: str
    data_on: DataPlace
    data_dir: str | Path | None
    threads: int | None
    devices: int | None
    deterministic: bool
    on_nan: OnNan
    tensorboard: bool
    plugin: str | Path | None
    on_record: Callable[[dict[str, Any]], object] | None
    progress: bool


def fit(
    twin: str,
    make_backend: MakeBackend,
    config: TrainConfig,
    data: ImageData,
    run_dir: str | Path | None,
    options: FitOptions,
) -> TrainedRun:
    """Train; as the twins' ``fit``, with the twin's name and backend."""
    check_whole(data, "data")
    plugin = None
    if options.plugin is not None:  # first: what is stored may name what it registers
        plugin = plugins.load(Path(options.plugin), twin)
    stored = None if options.resume is None else _stored_config(options.resume)
    config = _reading_as(config, data)
    if stored is not None:
        # That the data are the same as before is told by their digest, not their name.
        config = dataclasses.replace(config, dataset=stored.dataset)
        check_resumed(config, stored)
    height, width = data.images.shape[1:3]
    if (size := sizes.normal((height, width))) != config.image_size:
        rule = f"the data's images have size {sizes.text(size)}"
        raise refuse("image_size", config.image_size, rule)
    check_threads(options.threads)
    progress = _PythonProgress() if options.progress else Progress()
    how = handed_on(
        options,
        driver.Options,
        data_dir=None if options.data_dir is None else Path(options.data_dir),
        progress=progress,
        plugin=plugin,
    )
    keeping = Keeping(
        twin=twin,
        write_report=lambda run: _write_report(run, twin, config),
        say=progress.say,
        tensorboard=options.tensorboard,
        plugin=plugin,
        keep=options.keep,
    )
    place = _place(run_dir, options, keeping, config.dataset)
    return driver.train(config, data, make_backend, place, how)


class _PythonProgress(TerminalProgress):
    """In which warnings, too, speak of arguments, not of flags."""

    def say(self, line: str) -> None:
        """Write a line."""
        super().say(without_flags(line))


def _reading_as(config: TrainConfig, data: ImageData) -> TrainConfig:
    """The configuration with the data's name, and the way that they were read in."""
    asked = reading_of(config)
    if asked not in (Reading(), data.reading):
        raise UsageError(f"config: asks for {asked}, the data are of {data.reading}")
    values = data.reading._asdict()
    return dataclasses.replace(config, dataset=data.name or config.dataset, **values)


def _stored_config(run: Run) -> TrainConfig:
    if isinstance(run, TrainedRun):
        return run.state.config
    with about("resume"):
        return RunDir.open(Path(run)).config_file.read()[0]


def _place(
    run_dir: str | Path | None, options: FitOptions, keeping: Keeping, dataset: str
) -> Place:
    resume, step, keep = options.resume, options.step, options.keep
    if keep is not None and not is_keep(keep):
        raise UsageError(f"keep {keep}: must be 1 or more, or 'all'")
    if resume is None:
        if step is not None:
            raise UsageError(f"step {step}: needs the run to resume")
        if run_dir is None:
            return _memory(options)
        check_apart("run_dir", Path(run_dir), dataset)
        figures.prepare()
        return NewFolder(Path(run_dir), keeping)
    if run_dir is not None:
        raise UsageError(f"--run-dir {run_dir}: a resumed run stays in its own folder")
    if isinstance(resume, TrainedRun):
        if resume.path is None:
            return _memory(options, find_state(keeping.twin, resume, step))
        resume = resume.path
    figures.prepare()
    return OldFolder(Path(resume), keeping, step, options.allow_new_data)


def _memory(options: FitOptions, state: Checkpoint | None = None) -> Memory:
    """Where nothing is written, to which nothing that is written belongs."""
    for name in ("keep", "tensorboard"):
        if value := getattr(options, name):
            raise UsageError(f"{name} {value}: needs a folder to write to, as run_dir")
    return Memory(state, options.allow_new_data)


def _write_report(run: RunDir, twin: str, config: TrainConfig) -> None:
    prog = f"{twin}.train"
    resume = f"python -m {prog} --resume RUN"
    if config.dataset == ARRAYS:  # which the command cannot have
        resume = f'{twin}.fit(config, data, resume="RUN")'
    page.write_report(run, resume, prog)
