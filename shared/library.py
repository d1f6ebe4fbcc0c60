"""What both twins offer to Python, with the twin's own part handed in."""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from shared.backend import MakeBackend
from shared.config.choices import ARRAYS, DataPlace
from shared.config.resume import check_resumed
from shared.config.train_config import TrainConfig
from shared.data.image_data import ImageData
from shared.errors import UsageError
from shared.report import page
from shared.run import checkpoint
from shared.run.checkpoint import Checkpoint
from shared.run.run_dir import RunDir, resolve_checkpoint
from shared.training import driver
from shared.training.driver import TrainedRun
from shared.training.places import Keeping, Memory, NewFolder, OldFolder, Place
from shared.training.progress import Progress, TerminalProgress

# A run's folder, a checkpoint file, or what `fit` has returned.
Run = str | Path | TrainedRun


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How `fit` trains, besides what and where."""

    resume: Run | None
    device: str
    data_on: DataPlace
    data_dir: str | Path | None
    tensorboard: bool
    on_record: Callable[[dict[str, Any]], object] | None
    progress: bool


@contextlib.contextmanager
def in_python() -> Iterator[None]:
    """Have errors name the arguments as Python does: ``batch_size``, not a flag."""
    try:
        yield
    except UsageError as error:
        words = re.sub(r"--([a-z][a-z-]*)", _argument, str(error))
        raise UsageError(words) from error


def find_state(run: Run, step: int | Literal["best"] | None) -> Checkpoint:
    """A run's state.

    Args:
        run: a run's folder, a checkpoint file, or what `fit` has returned.
        step: which checkpoint; the one with the best scores; None: the last.

    Raises:
        UsageError: there is no such file, or it is damaged.
    """
    if isinstance(run, TrainedRun):
        if run.path is None and step is None:
            return run.state
        if run.path is None:
            raise UsageError(f"step {step}: only the last is kept without a folder")
        run = run.path
    return checkpoint.load(resolve_checkpoint(Path(run), step))


def fit(
    twin: str,
    make_backend: MakeBackend,
    config: TrainConfig,
    data: ImageData,
    run_dir: str | Path | None,
    options: FitOptions,
) -> TrainedRun:
    """Train; as the twins' ``fit``, with the twin's name and backend."""
    stored = None if options.resume is None else _stored_config(options.resume)
    # That the data are the same as before is told by their digest, not by their name.
    name = data.name if stored is None else stored.dataset
    config = dataclasses.replace(config, dataset=name or config.dataset)
    if stored is not None:
        check_resumed(config, stored)
    size = data.images.shape[1]
    if size != config.image_size:
        raise UsageError(
            f"--image-size {config.image_size}: the data's images have size {size}"
        )
    progress = TerminalProgress() if options.progress else Progress()
    how = driver.Options(
        device=options.device,
        data_on=options.data_on,
        data_dir=None if options.data_dir is None else Path(options.data_dir),
        progress=progress,
        on_record=options.on_record,
    )
    keeping = Keeping(
        twin=twin,
        write_report=lambda run: _write_report(run, twin, config),
        say=progress.say,
        tensorboard=options.tensorboard,
    )
    place = _place(run_dir, options.resume, keeping)
    return driver.train(config, data, make_backend, place, how)


def _stored_config(run: Run) -> TrainConfig:
    if not isinstance(run, TrainedRun):
        return RunDir.open(Path(run)).read_config()[0]
    return run.state.config


def _place(run_dir: str | Path | None, resume: Run | None, keeping: Keeping) -> Place:
    if resume is None:
        return Memory() if run_dir is None else NewFolder(Path(run_dir), keeping)
    if run_dir is not None:
        raise UsageError(f"--run-dir {run_dir}: a resumed run stays in its own folder")
    if isinstance(resume, TrainedRun):
        if resume.path is None:
            return Memory(resume.state)
        resume = resume.path
    return OldFolder(Path(resume), keeping)


def _write_report(run: RunDir, twin: str, config: TrainConfig) -> None:
    prog = f"{twin}.train"
    resume = f"python -m {prog} --resume RUN"
    if config.dataset == ARRAYS:
        resume = f'{twin}.fit(config, data, resume="RUN")'
    page.write_report(run, resume, prog)


def _argument(flag: re.Match[str]) -> str:
    return flag[1].replace("-", "_")
